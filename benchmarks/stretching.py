"""What stretched latents are worth: synthetic images of the default recipe by `synthesize.widest`.

    python benchmarks/stretching.py --draws 100 --widest 1 1.5 2 2.5 3 4

Trains the default recipe in a clone of HEAD once a draw of labels, draws images for each `widest` that
benchmarks/stretching.csv lacks, measures them against validation images, and writes benchmarks/stretching.md from
all rows. Safe to kill. Test images are not read. SEMISYNTH_MIRROR is taken from the environment.
"""

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from machine import clone_head, commit_of, cores, known_rows, measured, processor

from semisynth.data.imageset import ImageSet, load_images
from semisynth.data.splitting import split_indices
from semisynth.files import write_csv, write_text
from semisynth.quality.instrument import fit_instrument
from semisynth.quality.labels import label_agreement
from semisynth.quality.report import Measured, distance_metrics
from semisynth.reporting.tables import markdown_table
from semisynth.synthesizers.drawing import draw_wide
from semisynth.synthesizers.families import load_sampler

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "stretching.csv", HERE / "stretching.md"
METRICS = {
    "gan_train_accuracy": "GAN-train",
    "label_agreement": "label agreement",
    "frechet_distance": "Fréchet",
    "precision": "precision",
    "recall": "recall",
}
COLUMNS = ["labelled", "draw", "widest", *METRICS, "commit"]
PER_CLASS, STEPS, BATCH_SIZE, SEED = 1000, 1000, 128, 0


def measure(clone: Path, draw: int, every_widest: Sequence[float]) -> None:
    params = clone_head(clone, {"split": {"seed": draw}})
    measured(("dvc", "repro", "train_synthesizer"), clone)
    split, train = params["split"], load_images(clone / "data" / "raw" / "train.npz")
    drawn = split_indices(train.labels, train.class_names, split["labelled"], split["validation"], draw)
    real, held_out = train.take(drawn.unlabelled), train.take(drawn.validation)
    synthesizer = load_sampler(clone / "models" / "synthesizer")
    fit = partial(fit_instrument, classes=train.classes, steps=STEPS, batch_size=BATCH_SIZE, seed=SEED)
    instrument = fit(real.images, real.labels)

    def seen(data: ImageSet) -> Measured:
        return Measured(instrument.features(data.images), data.labels)

    of_real, of_held_out = seen(real), seen(held_out)
    for widest in every_widest:
        images, labels, _ = draw_wide(
            synthesizer,
            synthesizer.class_probabilities,
            per_class=PER_CLASS,
            widest=widest,
            confidence=params["synthesize"]["wide_confidence"],
            seed=SEED,
        )
        on_made = fit(images, labels, title=f"widest {widest:g}")
        found = {
            "gan_train_accuracy": label_agreement(held_out.labels, on_made.predict(held_out.images)),
            "label_agreement": label_agreement(labels, instrument.predict(images)),
            **distance_metrics(
                Measured(instrument.features(images), labels), of_real, of_held_out, images=len(labels), seed=SEED
            ),
        }
        row = {"labelled": split["labelled"], "draw": draw, "widest": f"{widest:g}"}
        row |= {name: f"{found[name]:.4f}" for name in METRICS}
        row["commit"] = commit_of(clone)
        write_csv(ROWS, COLUMNS, [*known_rows(ROWS), row])
        write_page()


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str}).sort_values(["draw", "widest"])
    lines = [
        (str(row["draw"]), f"{row['widest']:g}", *(f"{row[name]:.3f}" for name in METRICS))
        for row in rows.to_dict("records")
    ]
    labelled, commits = ", ".join(map(str, rows["labelled"].unique())), ", ".join(rows["commit"].unique())
    table = markdown_table(("draw", "widest", *METRICS.values()), lines, "r" * (2 + len(METRICS)))
    machine = f"{processor()}, {cores()} cores, commit {commits}"
    page = f"""\
# Synthetic images by the stretch of their latents

{table}
MNIST, {labelled} labels, the default recipe, {10 * PER_CLASS} images each. A classifier that learnt the unlabelled
images with their true labels gives the features, in which they are compared with the validation images.
GAN-train by {STEPS} updates of batches of {BATCH_SIZE}. {machine}.
Written by `python benchmarks/stretching.py`.
"""
    write_text(PAGE, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--draws", type=int, nargs="*", default=[], help="values of split.seed; none draws the page"
    )
    parser.add_argument("--widest", type=float, nargs="+", default=[1, 1.5, 2, 2.5, 3, 4])
    given = parser.parse_args()
    for draw in given.draws:
        done = {float(row["widest"]) for row in known_rows(ROWS) if row["draw"] == str(draw)}
        if todo := [widest for widest in given.widest if widest not in done]:
            with tempfile.TemporaryDirectory(prefix="stretching-") as temporary:
                measure(Path(temporary) / "clone", draw, todo)
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
