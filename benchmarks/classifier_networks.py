"""The networks of classifier `cnn` beside each other: error on held-out training images, and time.

    dvc repro download && python benchmarks/classifier_networks.py

15,000 of the training images are held out; no test image is read. Each network learns from the rest with
transformed copies, and from 100 labelled images alone, by a schedule that suits it. Appends a row for each
training to benchmarks/classifier_networks.csv, leaves out what is there, and writes the table beside it.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from machine import commit_of, cores, known_rows, processor

from semisynth.augmentation.classical import transformed_copies
from semisynth.classifiers.cnn import CnnClassifier, CnnSettings
from semisynth.data.imageset import ImageSet, load_images
from semisynth.data.splitting import split_indices
from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table
from semisynth.training.precision import resolve_precision

ROWS = Path(__file__).with_suffix(".csv")
COLUMNS = ("training_images", "network", "seed", "steps", "batch", "learning_rate", "error", "seconds", "commit")
HELD_OUT, LABELLED, COPIES = 15_000, 100, 40_000
MANY, FEW = "45,000 and 40,000 copies", "100"
LONG = 7030  # updates, as many as with 50,000 labels
TRAININGS = [  # training images, network, updates, batch, learning rate
    (MANY, "book_cnn", 3000, 64, 0.001),
    (MANY, "normalised_cnn", 2800, 128, 0.003),
    (MANY, "normalised_cnn", LONG, 128, 0.003),
    (MANY, "wide_cnn", LONG, 128, 0.003),
    (FEW, "book_cnn", 3000, 64, 0.001),
    (FEW, "normalised_cnn", 2800, 128, 0.003),
]


def parts(train: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """The images held out, at random, and the others."""
    order = np.random.default_rng(seed).permutation(len(train))
    return train.take(order[:HELD_OUT]), train.take(order[HELD_OUT:])


def training_set(known: ImageSet, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one of the two training sets."""
    if name == FEW:
        few = known.take(split_indices(known.labels, known.class_names, LABELLED, 0.0, seed).labelled)
        return few.images, few.labels
    images, labels = transformed_copies(known.images, known.labels, COPIES, seed=seed)
    return np.concatenate([known.images, images]), np.concatenate([known.labels, labels])


def trained(
    name: str, network: str, steps: int, batch: int, rate: float, *, known: ImageSet, held_out: ImageSet, seed: int
) -> dict[str, str]:
    """Train one network on the training set called `name`, and return its row."""
    settings = CnnSettings(
        seed=seed,
        side=known.side,
        classes=known.classes,
        network=network,
        steps=steps,
        batch_size=batch,
        learning_rate=rate,
        precision=resolve_precision("auto"),
    )
    images, labels = training_set(known, name, seed)
    start = time.perf_counter()
    classifier = CnnClassifier(settings).fit(images, labels)
    seconds = time.perf_counter() - start
    error = np.mean(classifier.predict_proba(held_out.images).argmax(axis=1) != held_out.labels)
    values = (name, network, seed, steps, batch, rate, f"{error:.4%}".rstrip("%"), f"{seconds:.0f}", commit_of())
    return dict(zip(COLUMNS, map(str, values), strict=True))


def page(rows: list[dict[str, str]]) -> str:
    """Write the committed report."""
    shown = []
    for row in sorted(rows, key=lambda row: [*(row[name] for name in COLUMNS[:3]), int(row["steps"])]):
        budget, error = f"{row['steps']} x {row['batch']}", f"{float(row['error']):.2f}"
        names = (row["training_images"], row["network"], row["seed"])
        shown.append([*names, budget, row["learning_rate"], error, row["seconds"]])
    heads = ["training images", "network", "draw", "steps x batch", "learning rate", "error %", "seconds"]
    return f"""# The networks of classifier `cnn`

Error on {HELD_OUT:,} training images of MNIST that were held out.

{markdown_table(heads, shown, "llrrrrr")}
{processor()}, {cores()} cores; commit {", ".join(sorted({row["commit"] for row in rows}))}.
Written by `python benchmarks/classifier_networks.py`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder of train.npz")
    parser.add_argument("--draws", type=int, nargs="+", default=[100], help="draws of the images held out")
    options = parser.parse_args()
    train, rows = load_images(options.raw / "train.npz"), known_rows(ROWS)
    done = {(row["training_images"], row["network"], int(row["steps"]), int(row["seed"])) for row in rows}
    for draw in options.draws:
        held_out, known = parts(train, draw)
        for training in TRAININGS:
            if (*training[:3], draw) not in done:
                rows.append(trained(*training, known=known, held_out=held_out, seed=draw))
                print(rows[-1], flush=True)
                write_csv(ROWS, COLUMNS, rows)
    write_text(ROWS.with_suffix(".md"), page(rows))


if __name__ == "__main__":
    main()
