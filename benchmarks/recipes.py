"""Every recipe for some minutes, and what its images are worth.

    python benchmarks/recipes.py --minutes 4 --seeds 0

Trains each recipe (or those of --recipes) that benchmarks/recipes.csv lacks in a clone of HEAD, with as many
updates as should fit into the time by a trial on this machine, for `semi_acgan` at most its own; measures its
images by `dvc repro evaluate_synthetic`; appends a row, and writes benchmarks/recipes.md and its sheets of images.
Safe to kill. SEMISYNTH_MIRROR is taken from the environment.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import Failed, clone_head, commit_of, cores, known_rows, measured, processor
from PIL import Image
from ruamel.yaml import YAML

from semisynth.data.imageset import load_images
from semisynth.files import replacing_file, write_csv, write_text
from semisynth.reporting.figures import save_grid
from semisynth.reporting.tables import markdown_table
from semisynth.synthesizers.judging import described
from semisynth.synthesizers.recipes import RECIPES
from semisynth.synthesizers.sampler import FAMILIES

HERE = Path(__file__).resolve().parent
ROWS, PAGE, STRIPS = HERE / "recipes.csv", HERE / "recipes.md", HERE / "recipes"
RUN = ["dataset", "labelled", "recipe", "seed", "minutes"]
METRICS = {
    "frechet_distance": "Fréchet",
    "frechet_floor": "real",
    "kernel_distance": "kernel",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "gan_train_accuracy": "GAN-train",
    "gan_train_accuracy_of_real": "real",
    "label_agreement": "label agreement",
    "mode_entropy": "mode entropy",
    "memorisation_auroc": "memorisation",
}
COLUMNS = [*RUN, "steps", "seconds", "labels_from", *METRICS, "commit"]
SHOWN_PER_CLASS, PER_CLASS, INSTRUMENT_STEPS = 2, 1000, 1000
SHORT, LONG, MOST_TRIED, CLEAR_SECONDS = 24, 96, 20_000, 4.0  # updates, and seconds, of trials that tell a pace
STAGE = ("python", "-m", "semisynth.stages.train_synthesizer")
NOTE = f"""\
Updates were fixed beforehand, by the pace of a trial; seconds are what the stage `train_synthesizer` then took,
with its start and its pictures, beside other work at times. No recipe is trained to its end in this time, and
some show no digits yet: `dcgan` is meant for 10,000 updates of 256 images, which take hours on two cores. Fréchet
and kernel distance: lower is better; `real` beside a figure is what as many real images reach. Density may exceed
1, mode entropy is at most ln 10 = 2.303 on ten classes, memorisation is .5 where training images are no nearer
than held-out ones.
Images are drawn from latents as they were trained, not stretched (see stretching.md), and none is left out for
what a judge doubts: {PER_CLASS} a class, fewer where it saw fewer. The measuring classifier of
GAN-train makes {INSTRUMENT_STEPS} updates.
`asked`: images have the class that they were asked for; `baseline`: the one that the best baseline classifier
saw, as it was at first; `labeller`: the one that the labeller beside the recipe saw; the time of its updates is
in the seconds, but not in the minutes aimed at, that of its start and of spreading labels is in both.
A recipe without figures drew no image of some class.
"""


class Bench:
    """A clone of HEAD in which recipe after recipe runs; what they share runs once."""

    def __init__(self, clone: Path, dataset: str, labelled: int) -> None:
        self.clone, self.dataset, self.labelled = clone, dataset, labelled
        self.shipped = clone_head(clone, {})
        self.write_params({}, {})
        measured(("dvc", "repro", "train_baseline"), clone)

    def write_params(self, section: dict[str, Any], labeller: dict[str, Any]) -> None:
        """Write the shipped parameters with this data set, and others in `train_synthesizer`."""
        params = json.loads(json.dumps(self.shipped))
        params["download"]["dataset"] = self.dataset
        params["split"]["labelled"] = self.labelled
        params["synthesize"] |= {"per_class": PER_CLASS, "given_confidence": 0.0, "widest": 1.0}  # as they come
        params["evaluate_synthetic"]["max_steps"] = INSTRUMENT_STEPS
        params["train_synthesizer"] |= section
        params["train_synthesizer"]["labeller"] |= labeller
        YAML(typ="safe", pure=True).dump(params, self.clone / "params.yaml")

    def trial(self, recipe: str, steps: int, labeller_steps: int) -> float:
        """Seconds of the stage alone with few updates, its outputs apart from the pipeline's."""
        section = {"recipe": recipe, "batch_size": None, "max_steps": steps, "max_passes": 1e6, "epochs": 1}
        self.write_params(section, {"max_steps": labeller_steps, "max_passes": 1e6})
        with tempfile.TemporaryDirectory(prefix="trial-") as folder:
            out = ("--synthesizer", f"{folder}/synthesizer", "--results", f"{folder}/results")
            given = ("--labelled", "data/split/labelled.npz", "--unlabelled", "data/split/unlabelled.npz")
            return measured((*STAGE, *given, *out), self.clone).seconds

    @staticmethod
    def pace(short: float, trial: Callable[[int], float]) -> float:
        """Seconds an update, from trials that grow until they differ from the `short` one by more than noise."""
        steps = LONG
        while (seconds := trial(steps) - short) < CLEAR_SECONDS and 4 * steps <= MOST_TRIED:
            steps *= 4
        return max(seconds, 0.01) / (steps - SHORT)

    def budget(self, recipe: str, minutes: float) -> tuple[int, int]:
        """Updates of the networks, and of the labeller if any, that fit into `minutes`."""
        own = self.shipped["train_synthesizer"]
        short = self.trial(recipe, SHORT, SHORT)
        pace = self.pace(short, lambda steps: self.trial(recipe, steps, SHORT))
        begun = short - SHORT * pace
        if not described(recipe).learns_labels:
            return max(1, int((60 * minutes - begun) / pace)), own["labeller"]["max_steps"]
        of_labeller = self.pace(short, lambda steps: self.trial(recipe, SHORT, steps))
        whole = own["max_steps"] * pace + own["labeller"]["max_steps"] * of_labeller
        share = min(1.0, (60 * minutes - begun + SHORT * of_labeller) / whole)
        return int(share * own["max_steps"]), int(share * own["labeller"]["max_steps"])

    def run(self, recipe: str, seed: int, minutes: float) -> dict[str, Any]:
        """Train and measure one recipe; return its row, and keep some of its images."""
        steps, labeller_steps = self.budget(recipe, minutes)
        section = {"recipe": recipe, "batch_size": None, "seed": seed, "max_steps": steps, "max_passes": 1e6}
        self.write_params(section, {"max_steps": labeller_steps, "max_passes": 1e6})
        measured(("dvc", "repro", "train_synthesizer"), self.clone)
        with (self.clone / ".semisynth" / "timings.csv").open(newline="", encoding="utf-8") as stream:
            seconds = [row["seconds"] for row in csv.DictReader(stream) if row["stage"] == "train_synthesizer"][-1]
        row = {
            "dataset": self.dataset,
            "labelled": self.labelled,
            "recipe": recipe,
            "seed": seed,
            "minutes": f"{minutes:g}",
        }
        metrics = self.evaluate("_".join(key(row)))
        draws_classes = recipe in FAMILIES and FAMILIES[recipe].conditional
        draws_classes |= recipe in RECIPES and RECIPES[recipe].conditional
        return row | {
            "steps": steps,
            "seconds": f"{float(seconds):.0f}",
            "labels_from": "asked" if draws_classes else "labeller",
            **{name: f"{metrics[name]:.4f}" if name in metrics else "" for name in METRICS},
            "commit": commit_of(self.clone),
        }

    def evaluate(self, run: str) -> dict[str, float]:
        """The metrics of the images, some of which are kept; none where some class has no image at all."""
        try:
            measured(("dvc", "repro", "synthesize"), self.clone)
        except Failed as end:
            if end.status != 255:  # what DVC makes of a stage that failed
                raise
            print(f"{run}: not measured. {end}", flush=True)
            return {}
        measured(("dvc", "repro", "evaluate_synthetic"), self.clone)
        self.keep_strip(run)
        found: dict[str, float] = json.loads(
            (self.clone / "results" / "evaluate_synthetic" / "metrics.json").read_text(encoding="utf-8")
        )
        return found

    def keep_strip(self, run: str) -> None:
        """Keep the first images of every class, side by side, for the sheet."""
        made = load_images(self.clone / "data" / "synthetic" / "synthetic.npz")
        blank = np.zeros((SHOWN_PER_CLASS, made.side, made.side), np.uint8)
        parts = [
            np.concatenate([made.images[made.labels == label], blank])[:SHOWN_PER_CLASS]
            for label in range(made.classes)
        ]
        STRIPS.mkdir(exist_ok=True)
        with replacing_file(STRIPS / f"{run}.png") as path:
            Image.fromarray(np.concatenate(list(np.concatenate(parts)), axis=1)).save(path, format="PNG")


def key(row: Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in RUN)


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str, "minutes": str})
    parts = ["# Recipes, trained for minutes\n"]
    for (dataset, labelled, minutes), group in rows.groupby(["dataset", "labelled", "minutes"]):
        parts.append(f"## {dataset}, {labelled} labels, {minutes} minutes asked for\n")
        if group["frechet_distance"].notna().any():
            parts.append(f"![Images of each]({draw_sheet(group)})\n")
        columns = ("recipe", "seed", "labels", "updates", "s", *METRICS.values())
        parts.append(markdown_table(columns, list(lines(group)), "lrl" + "r" * (len(columns) - 3)))
    commits = ", ".join(rows["commit"].unique())
    parts.append(
        f"{NOTE}\n{processor()}, {cores()} cores; commit {commits}. Written by `python benchmarks/recipes.py`.\n"
    )
    write_text(PAGE, "\n".join(parts))


def lines(rows: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """The best Fréchet distance first."""
    for row in rows.sort_values("frechet_distance").to_dict("records"):
        facts = (row["recipe"], str(row["seed"]), row["labels_from"], str(row["steps"]), str(row["seconds"]))
        yield *facts, *("–" if pd.isna(row[name]) else f"{row[name]:.3f}" for name in METRICS)


def draw_sheet(rows: pd.DataFrame) -> str:
    """Draw a row of images a recipe, by the first seed, in the table's order; return the file's name."""
    seen = rows.dropna(subset="frechet_distance")
    first = seen.sort_values("seed").drop_duplicates("recipe").sort_values("frechet_distance")
    strips = []
    for row in first.to_dict("records"):
        with Image.open(STRIPS / f"{'_'.join(key(row))}.png") as strip:
            side = strip.height
            strips.append(np.asarray(strip).reshape(side, -1, side).swapaxes(0, 1))
    dataset, labelled, _, _, minutes = key(rows.iloc[0].to_dict())
    path = HERE / f"recipes_{dataset}_{labelled}_{minutes}.png"
    save_grid(
        path,
        np.concatenate(strips),
        strips[0].shape[0],
        title="Two images of each class, after a few minutes of training",
        row_labels=list(first["recipe"]),
    )
    return path.name


def main() -> None:
    names = [*RECIPES, *FAMILIES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="*", default=names, choices=names, help="which; none draws the page")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the training")
    parser.add_argument("--minutes", type=float, default=4, help="of training, about")
    parser.add_argument("--labelled", type=int, default=1000, help="value of split.labelled")
    parser.add_argument("--dataset", default="mnist")
    given = parser.parse_args()
    done = {key(row) for row in known_rows(ROWS)}
    todo = [
        (recipe, seed)
        for seed in given.seeds
        for recipe in given.recipes
        if (given.dataset, str(given.labelled), recipe, str(seed), f"{given.minutes:g}") not in done
    ]
    if todo:
        with tempfile.TemporaryDirectory(prefix="recipes-") as temporary:
            bench = Bench(Path(temporary) / "clone", given.dataset, given.labelled)
            for recipe, seed in todo:
                write_csv(ROWS, COLUMNS, [*known_rows(ROWS), bench.run(recipe, seed, given.minutes)])
                write_page()
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
