"""GAN-train of the default run: what a classifier learns from more synthetic images, in more updates.

    dvc repro train_synthesizer && python benchmarks/gan_train.py --images 20000 40000 --steps 2000 4000

Draws images by the trained synthesizer of this folder with the shipped settings, trains the measuring classifier
on them and on as many real images, and counts test images. Adds the rows that benchmarks/gan_train.csv lacks, and
writes benchmarks/gan_train.md from all rows. Nothing is chosen by them.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from machine import ROOT, commit_of, cores, known_rows, processor

from semisynth.data.imageset import load_images
from semisynth.data.splitting import split_indices
from semisynth.files import write_csv, write_text
from semisynth.params import load_params
from semisynth.quality.instrument import fit_instrument
from semisynth.quality.labels import label_agreement
from semisynth.reporting.tables import markdown_table
from semisynth.synthesizers.drawing import draw_wide
from semisynth.synthesizers.families import load_sampler

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "gan_train.csv", HERE / "gan_train.md"
KEY = ["labelled", "draw", "widest", "images", "steps"]
COLUMNS = [*KEY, "gan_train_accuracy", "gan_train_accuracy_of_real", "commit"]
BATCH_SIZE, SEED = 128, 0


def measure(count: int, steps: int) -> None:
    """Add the row of `count` images and `steps` updates, unless it is there."""
    params = load_params(ROOT / "params.yaml")
    split, section = params.split, params.synthesize
    key = dict(zip(KEY, map(str, (split.labelled, split.seed, section.widest, count, steps)), strict=True))
    if any(all(row[name] == value for name, value in key.items()) for row in known_rows(ROWS)):
        return
    train, test = (load_images(ROOT / "data" / "raw" / f"{name}.npz") for name in ("train", "test"))
    drawn = split_indices(train.labels, train.class_names, split.labelled, split.validation, split.seed)
    synthesizer = load_sampler(ROOT / "models" / "synthesizer")
    images, labels, _ = draw_wide(
        synthesizer,
        synthesizer.class_probabilities,
        per_class=count // train.classes,
        widest=section.widest,
        confidence=section.wide_confidence,
        seed=section.seed,
    )
    real = train.take(np.random.default_rng(SEED).permutation(drawn.unlabelled)[:count])
    fit = partial(fit_instrument, classes=train.classes, steps=steps, batch_size=BATCH_SIZE, seed=SEED)
    on_made = fit(images, labels, title=f"{count} synthetic, {steps} updates")
    on_real = fit(real.images, real.labels, title=f"{count} real, {steps} updates")
    accuracies = (label_agreement(test.labels, one.predict(test.images)) for one in (on_made, on_real))
    found = zip(COLUMNS[len(KEY) :], (*(f"{one:.4f}" for one in accuracies), commit_of()), strict=True)
    write_csv(ROWS, COLUMNS, [*known_rows(ROWS), key | dict(found)])
    write_page()


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str}).sort_values(KEY)
    lines = [
        (*(f"{row[name]:g}" for name in KEY), *(f"{100 * row[name]:.2f}" for name in COLUMNS[len(KEY) : -1]))
        for row in rows.to_dict("records")
    ]
    columns = ("labelled", "draw", "widest", "images", "updates", "on synthetic ones", "on real ones")
    page = f"""\
# GAN-train: test accuracy in % of a classifier that learnt synthetic images alone

{markdown_table(columns, lines, "r" * len(columns))}
MNIST, the default recipe, batches of {BATCH_SIZE}; beside it the same classifier on as many real images with their
true labels. {processor()}, {cores()} cores, commit {", ".join(rows["commit"].unique())}.
Written by `python benchmarks/gan_train.py`.
"""
    write_text(PAGE, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=[], help="how many; none draws the page")
    parser.add_argument("--steps", type=int, nargs="+", default=[2000], help="updates of the classifier")
    given = parser.parse_args()
    for count in given.images:
        for steps in given.steps:
            measure(count, steps)
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
