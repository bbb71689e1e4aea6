"""Every recipe for some minutes, and what its images are worth.

    python benchmarks/recipes.py --minutes 4 --seeds 0

Trains each recipe (or those of --recipes) that benchmarks/recipes.csv lacks in a clone of HEAD, with as many
updates as should fit into the time by a trial on this machine, for `semi_acgan` at most its own; measures its
images as `evaluate_synthetic` does; appends a row, two for a recipe whose latents are stretched; and writes
benchmarks/recipes.md and its sheets of images. Safe to kill. SEMISYNTH_MIRROR is taken from the environment.
"""

import argparse
import csv
import json
import shutil
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
from semisynth.files import replacing_file, sha256_of, write_csv, write_text
from semisynth.params import load_params
from semisynth.reporting.figures import save_grid
from semisynth.reporting.tables import markdown_table
from semisynth.stages.evaluate_synthetic import findings
from semisynth.stages.train_synthesizer import fitted_labeller
from semisynth.synthesizers.composition import RECIPES
from semisynth.synthesizers.judging import described
from semisynth.synthesizers.sampler import FAMILIES
from semisynth.training.precision import resolve_precision
from semisynth.training.resume import PACKAGE, forget, resume_folder

HERE = Path(__file__).resolve().parent
ROWS, PAGE, STRIPS = HERE / "recipes.csv", HERE / "recipes.md", HERE / "recipes"
RUN = ["dataset", "labelled", "recipe", "seed", "minutes", "widest"]
METRICS = {
    "frechet_distance": "Fréchet",
    "kernel_distance": "kernel",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "gan_train_accuracy": "GAN-train",
    "label_agreement": "GAN-test",
    "mode_entropy": "mode entropy",
    "class_histogram_distance.total_variation": "classes: TV",
    "diversity_ratio": "diversity",
}
MORE = {
    "memorisation_auroc": "memorisation",
    "nearest_distance_ratio": "nearest ratio",
    "class_histogram_distance.kl_divergence": "classes: KL",
    "class_histogram_distance.jensen_shannon": "JS",
    "class_histogram_distance.earth_movers": "EMD",
    "pixel_histogram_distance.total_variation": "grey levels: TV",
    "pixel_histogram_distance.kl_divergence": "KL",
    "pixel_histogram_distance.jensen_shannon": "JS",
    "pixel_histogram_distance.earth_movers": "EMD",
}
REAL = {  # what as many real images reach, by the name of what it is beside
    "frechet_distance": "frechet_floor",
    "kernel_distance": "kernel_floor",
    **{name: f"{name}_of_real" for name in ("precision", "recall", "density", "coverage")},
    **{name: f"{name}_of_real" for name in ("gan_train_accuracy", "memorisation_auroc", "nearest_distance_ratio")},
    **{name: name.replace("distance", "floor", 1) for name in {**METRICS, **MORE} if "histogram" in name},
}
ALSO = ["kernel_distance_sd", "instrument_accuracy", "memorised_share", "mode_entropy_of_even_classes"]
MEASURED = [*METRICS, *MORE, *REAL.values(), *ALSO]
COLUMNS = [*RUN, "steps", "seconds", "labels_from", *MEASURED, "commit"]
SHOWN_PER_CLASS, PER_CLASS, MEASURING_STEPS = 2, 1000, 1000
SHORT, LONG, MOST_TRIED, CLEAR_SECONDS = 24, 96, 20_000, 8.0  # updates, and seconds, of trials that tell a pace
SHARES = 0.01, 0.04  # of its own updates, in the two trials of a recipe that has a labeller in it
STAGE = ("python", "-m", "semisynth.stages.train_synthesizer")
NOTE = f"""\
Updates were fixed beforehand, by the pace of a trial; seconds are what the stage `train_synthesizer` then took,
with its start and its pictures. No recipe is trained to its end in this time, and some show no digits yet: `dcgan`
is meant for 10,000 updates of 256 images, which take hours on two cores. Images are drawn by the shipped settings,
but {PER_CLASS} a class, fewer where a class was seen less often; of recipes that draw no classes, none is left out
for what the labeller doubts. `widest`: how far latents are stretched, where a labeller guards it (see
stretching.md); 1 leaves them as they were trained.
Images have the class that they were asked for (`asked`), or the one that a labeller beside the recipe saw
(`labeller`), one for all of them, trained in full; that is not in the seconds.
Lower is better of the distances, of all histogram columns, and of memorisation, which is .5 where training images
are no nearer than held-out ones (nearest ratio: 1 then, lower is nearer). Density may exceed 1, mode entropy is at
most ln 10 = 2.303 on ten classes. `real`: what as many real images reach as the first row has; where a recipe drew
too few of some class, fewer are compared, and distances are a little larger. {MEASURING_STEPS} updates are made by
the measuring classifier, which gives GAN-test and features, and by the pipeline's `cnn`, which gives GAN-train;
where no class histogram is given, that gave GAN-train as well, and labels are those of the best `baseline` one.
A recipe without figures drew no image of some class.
"""


class Bench:
    """A clone of HEAD in which recipe after recipe runs; what they share runs once."""

    def __init__(self, clone: Path, dataset: str, labelled: int) -> None:
        self.clone, self.dataset, self.labelled = clone, dataset, labelled
        self.shipped = clone_head(clone, {})
        if digests(PACKAGE) != digests(clone / "src" / "semisynth"):  # some of it is called from here
            raise SystemExit(f"error: {PACKAGE} expected to be as in {clone}, which is HEAD; commit, or stash")
        self.write_params({}, {}, 1.0)
        measured(("dvc", "repro", "train_baseline"), clone)

    def write_params(self, section: dict[str, Any], labeller: dict[str, Any], widest: float) -> None:
        """Write the shipped parameters with this data set, and others in `train_synthesizer`."""
        params = json.loads(json.dumps(self.shipped))
        params["download"]["dataset"] = self.dataset
        params["split"]["labelled"] = self.labelled
        params["synthesize"] |= {"per_class": PER_CLASS, "given_confidence": 0.0, "widest": widest}
        params["evaluate_synthetic"]["max_steps"] = MEASURING_STEPS
        params["train_baseline"]["cnn"] |= {"max_steps": MEASURING_STEPS, "labelled_passes": 1.0}
        params["train_synthesizer"] |= section
        params["train_synthesizer"]["labeller"] |= labeller
        YAML(typ="safe", pure=True).dump(params, self.clone / "params.yaml")

    def trial(self, recipe: str, steps: int, labeller_steps: int) -> float:
        """Seconds of the stage alone with few updates, its outputs apart from the pipeline's."""
        section = {"recipe": recipe, "batch_size": None, "max_steps": steps, "max_passes": 1e6, "epochs": 1}
        self.write_params(section, {"max_steps": labeller_steps, "max_passes": 1e6}, 1.0)
        self.lay_labeller(recipe)
        with tempfile.TemporaryDirectory(prefix="trial-") as folder:
            out = ("--synthesizer", f"{folder}/synthesizer", "--results", f"{folder}/results")
            given = ("--labelled", "data/split/labelled.npz", "--unlabelled", "data/split/unlabelled.npz")
            return measured((*STAGE, *given, *out), self.clone).seconds

    def budget(self, recipe: str, minutes: float) -> tuple[int, int]:
        """Updates of the networks, and of the labeller that is beside or in them, that fit into `minutes`."""
        own = self.shipped["train_synthesizer"]
        most, of_labeller = own["max_steps"], own["labeller"]["max_steps"]
        if described(recipe).learns_labels:  # both are trained: as large a share of either
            few, more = (self.trial(recipe, *(int(s * n) for n in (most, of_labeller))) for s in SHARES)
            whole = (more - few) / (SHARES[1] - SHARES[0])
            share = min(1.0, (60 * minutes - few + SHARES[0] * whole) / whole)
            return int(share * most), int(share * of_labeller)
        short = self.trial(recipe, SHORT, of_labeller)
        pace = pace_of(short, lambda steps: self.trial(recipe, steps, of_labeller))
        return max(1, int((60 * minutes - short) / pace) + SHORT), of_labeller

    def lay_labeller(self, recipe: str) -> None:
        """Lay a finished labeller where the stage looks for what it began: all that draw no classes share it."""
        if described(recipe).conditional:
            return
        section = load_params(self.clone / "params.yaml").train_synthesizer
        given = [self.clone / "data" / "split" / f"{name}.npz" for name in ("labelled", "unlabelled")]
        precision, state = resolve_precision(section.precision), self.clone.parent / "labeller"
        fitted_labeller(section, *map(load_images, given), precision, state)
        settings = section.model_dump() | {"on": precision}
        waiting = resume_folder("train_synthesizer", settings, given, self.clone / ".semisynth" / "resume")
        shutil.copytree(state, waiting / "labeller", dirs_exist_ok=True)

    def widths(self, recipe: str) -> list[float]:
        """How far the latents of a recipe are stretched, each in a row: as shipped, and not at all."""
        return [self.shipped["synthesize"]["widest"], 1.0] if described(recipe).learns_labels else [1.0]

    def run(self, recipe: str, seed: int, minutes: float) -> Iterator[dict[str, Any]]:
        """Train and measure one recipe; give its rows, and keep some of its images."""
        steps, labeller_steps = self.budget(recipe, minutes)
        section = {"recipe": recipe, "batch_size": None, "seed": seed, "max_steps": steps, "max_passes": 1e6}
        labeller = {"max_steps": labeller_steps, "max_passes": 1e6}
        self.write_params(section, labeller, 1.0)
        self.lay_labeller(recipe)
        measured(("dvc", "repro", "train_synthesizer"), self.clone)
        with (self.clone / ".semisynth" / "timings.csv").open(newline="", encoding="utf-8") as stream:
            seconds = [row["seconds"] for row in csv.DictReader(stream) if row["stage"] == "train_synthesizer"][-1]
        made = json.loads((self.clone / "results" / "train_synthesizer" / "metrics.json").read_text("utf-8"))
        for widest in self.widths(recipe):
            self.write_params(section, labeller, widest)
            values = (self.dataset, self.labelled, recipe, seed, f"{minutes:g}", f"{widest:g}")
            row = dict(zip(RUN, values, strict=True))
            found = self.evaluate("_".join(key(row)))
            yield row | {
                "steps": made["steps"],
                "seconds": f"{float(seconds):.0f}",
                "labels_from": "asked" if described(recipe).conditional else "labeller",
                **{name: number(found, name) for name in MEASURED},
                "commit": commit_of(self.clone),
            }

    def evaluate(self, run: str) -> dict[str, Any]:
        """The metrics of the images, some of which are kept; none where some class has no image at all."""
        try:
            measured(("dvc", "repro", "synthesize"), self.clone)
        except Failed as end:
            if end.status != 255:  # what DVC makes of a stage that failed
                raise
            print(f"{run}: not measured. {end}", flush=True)
            return {}
        self.keep_strip(run)
        data = self.clone / "data"
        made, real, held_out = (
            load_images(data / path) for path in ("synthetic/synthetic.npz", "raw/train.npz", "split/test.npz")
        )
        state = self.clone.parent / "fits" / str(len(made))
        forget(state / "gan_train")  # the others are the same for every recipe with as many images
        return findings(made, real, held_out, load_params(self.clone / "params.yaml"), state)[0]

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


def pace_of(short: float, trial: Callable[[int], float]) -> float:
    """Seconds an update, from trials that grow until they differ from the `short` one by more than noise."""
    steps = LONG
    while (seconds := trial(steps) - short) < CLEAR_SECONDS and steps < MOST_TRIED:
        steps = min(MOST_TRIED, int(steps * min(16.0, max(2.0, 1.5 * CLEAR_SECONDS / max(seconds, 0.1)))))
    return max(seconds, 0.01) / (steps - SHORT)


def digests(package: Path) -> dict[str, str]:
    """SHA-256 of every module of a package, by its path there."""
    return {str(path.relative_to(package)): sha256_of(path) for path in package.rglob("*.py")}


def number(found: Mapping[str, Any], name: str) -> str:
    """One of the metrics `found`; `name` may be that of a group, a dot and one in it. "" where there is none."""
    group, _, inner = name.partition(".")
    value = found.get(group)
    value = value[inner] if inner and value is not None else value
    return "" if value is None else f"{value:.4f}"


def key(row: Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in RUN)


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str, "minutes": str, "widest": str})
    parts = ["# Recipes, trained for minutes\n"]
    for (dataset, labelled, minutes), group in rows.groupby(["dataset", "labelled", "minutes"]):
        parts.append(f"## {dataset}, {labelled} labels, {minutes} minutes asked for\n")
        if group["frechet_distance"].notna().any():
            parts.append(f"![Images of each]({draw_sheet(group)})\n")
        ordered = group.sort_values("frechet_distance")
        facts = {"recipe": "recipe", "seed": "seed", "widest": "widest"}
        trained = facts | {"labels_from": "labels", "steps": "updates", "seconds": "s"}
        for named, every in ((trained, METRICS), (facts, MORE)):
            metrics = {name: head for name, head in every.items() if group[name].notna().any()}
            align = "".join("l" if name in ("recipe", "labels_from") else "r" for name in (*named, *metrics))
            columns = (*named.values(), *metrics.values())
            parts.append(markdown_table(columns, list(lines(ordered, list(named), list(metrics))), align))
    commits = ", ".join(rows["commit"].unique())
    parts.append(
        f"{NOTE}\n{processor()}, {cores()} cores; commit {commits}. Written by `python benchmarks/recipes.py`.\n"
    )
    write_text(PAGE, "\n".join(parts))


def lines(rows: pd.DataFrame, facts: list[str], metrics: list[str]) -> Iterator[tuple[str, ...]]:
    """A line a row, then one of what as many real images reach, beside the first row's."""

    def shown(value: float) -> str:
        return "–" if pd.isna(value) else f"{value:.3f}"

    for row in rows.to_dict("records"):
        yield *(str(row[name]) for name in facts), *(shown(row[name]) for name in metrics)
    first = rows.iloc[0]
    real = (shown(first[REAL[name]]) if name in REAL else "" for name in metrics)
    yield "real", *("" for _ in facts[1:]), *real


def draw_sheet(rows: pd.DataFrame) -> str:
    """Draw a row of images a recipe, by the first seed, in the table's order; return the file's name."""
    seen = rows.dropna(subset="frechet_distance")
    first = seen.sort_values(["seed", "frechet_distance"]).drop_duplicates(["recipe", "widest"])
    first = first.sort_values("frechet_distance")
    strips, names = [], []
    for row in first.to_dict("records"):
        names.append(row["recipe"] if row["widest"] == "1" else f"{row['recipe']} x {row['widest']}")
        with Image.open(STRIPS / f"{'_'.join(key(row))}.png") as strip:
            side = strip.height
            strips.append(np.asarray(strip).reshape(side, -1, side).swapaxes(0, 1))
    dataset, labelled, minutes = (rows.iloc[0][name] for name in ("dataset", "labelled", "minutes"))
    path = HERE / f"recipes_{dataset}_{labelled}_{minutes}.png"
    save_grid(
        path,
        np.concatenate(strips),
        strips[0].shape[0],
        title="Two images of each class, after a few minutes of training",
        row_labels=names,
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
        if (given.dataset, str(given.labelled), recipe, str(seed), f"{given.minutes:g}", "1") not in done
    ]
    if todo:
        with tempfile.TemporaryDirectory(prefix="recipes-") as temporary:
            bench = Bench(Path(temporary) / "clone", given.dataset, given.labelled)
            for recipe, seed in todo:
                found = list(bench.run(recipe, seed, given.minutes))
                write_csv(ROWS, COLUMNS, [*known_rows(ROWS), *found])
                write_page()
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
