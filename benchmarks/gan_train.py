"""GAN-train of the default run: what a classifier learns from more synthetic images.

    dvc repro train_synthesizer && python benchmarks/gan_train.py --images 20000 40000

Draws images by the trained synthesizer of this folder with the shipped settings, trains the pipeline's `cnn` on
them and on as many real images, and counts test images. Adds the rows that benchmarks/gan_train.csv lacks, and
writes benchmarks/gan_train.md from all rows. Nothing is chosen by them.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from machine import ROOT, commit_of, cores, known_rows, processor

from semisynth.classifiers.cnn import CnnClassifier
from semisynth.classifiers.registry import build_classifier
from semisynth.data.imageset import ImageSet, load_images
from semisynth.data.splitting import split_indices
from semisynth.files import write_csv, write_text
from semisynth.params import load_params
from semisynth.quality.labels import label_agreement
from semisynth.reporting.tables import markdown_table
from semisynth.synthesizers.drawing import draw_wide
from semisynth.synthesizers.families import load_sampler

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "gan_train.csv", HERE / "gan_train.md"
KEY = ["labelled", "draw", "widest", "network", "images", "steps"]
COLUMNS = [*KEY, "gan_train_accuracy", "gan_train_accuracy_of_real", "commit"]


def measure(count: int) -> None:
    """Add the row of `count` images, unless it is there."""
    params = load_params(ROOT / "params.yaml")
    split, section, settings = params.split, params.synthesize, {"cnn": params.train_baseline.cnn.model_dump()}
    train, test = (load_images(ROOT / "data" / "raw" / f"{name}.npz") for name in ("train", "test"))
    size = {"side": train.side, "classes": train.classes, "pool": len(train), "labelled": count}
    seed = params.evaluate_synthetic.seed

    def untrained() -> CnnClassifier:
        network = build_classifier("cnn", settings=settings, seed=seed, **size)
        assert isinstance(network, CnnClassifier)
        return network

    def accuracy_after(data: ImageSet) -> float:
        network = untrained().fit(data.images, data.labels)
        return label_agreement(test.labels, network.predict_proba(test.images).argmax(axis=1))

    shape = untrained().settings
    values = (split.labelled, split.seed, section.widest, shape.network, count, shape.steps)
    key = dict(zip(KEY, map(str, values), strict=True))
    if any(all(row[name] == value for name, value in key.items()) for row in known_rows(ROWS)):
        return
    synthesizer = load_sampler(ROOT / "models" / "synthesizer")
    images, labels, _ = draw_wide(
        synthesizer,
        synthesizer.class_probabilities,
        per_class=count // train.classes,
        widest=section.widest,
        confidence=section.wide_confidence,
        seed=section.seed,
    )
    drawn = split_indices(train.labels, train.class_names, split.labelled, split.validation, split.seed)
    real = train.take(np.random.default_rng(seed).permutation(drawn.unlabelled)[:count])
    accuracies = (accuracy_after(data) for data in (replace(real, images=images, labels=labels), real))
    found = zip(COLUMNS[len(KEY) :], (*(f"{one:.4f}" for one in accuracies), commit_of()), strict=True)
    write_csv(ROWS, COLUMNS, [*known_rows(ROWS), key | dict(found)])
    write_page()


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str}).sort_values(KEY)
    lines = [
        (*(str(row[name]) for name in KEY), *(f"{100 * row[name]:.2f}" for name in COLUMNS[len(KEY) : -1]))
        for row in rows.to_dict("records")
    ]
    columns = ("labelled", "draw", "widest", "network", "images", "updates", "on synthetic ones", "on real ones")
    page = f"""\
# GAN-train: test accuracy in % of a classifier that learnt synthetic images alone

{markdown_table(columns, lines, "rrrl" + "r" * (len(columns) - 4))}
MNIST, the default recipe, batches of 128; beside it the same network on as many real images with their true
labels. `normalised_cnn` is the pipeline's `cnn`, with its settings, and the one that `evaluate_synthetic` reports;
`strided_cnn` is smaller. {processor()}, {cores()} cores, commit {", ".join(rows["commit"].unique())}.
Written by `python benchmarks/gan_train.py`.
"""
    write_text(PAGE, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=[], help="how many; none draws the page")
    given = parser.parse_args()
    for count in given.images:
        measure(count)
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
