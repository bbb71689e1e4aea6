"""The book's network on 50,000 labelled MNIST images: test accuracy after the last step, and its training time.

    dvc repro split && python benchmarks/fully_labelled.py --seeds 0

Trains on the images alone, and on the images with transformed copies; writes benchmarks/fully_labelled.md.
The schedule was scouted (`--scout --seeds 100`) on the 10,000 images that are left over, never on test images.
The test images are looked at once, after the last step of the last epoch.
"""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from machine import commit_of, cores, processor

from semisynth.augmentation.classical import transformed_copies
from semisynth.classifiers.cnn import CnnClassifier, CnnSettings
from semisynth.data.imageset import ImageSet, load_images
from semisynth.data.pixels import to_signed
from semisynth.files import write_text
from semisynth.networks.classifiers import book_cnn
from semisynth.reporting.tables import markdown_table
from semisynth.training.precision import resolve_precision

LABELLED, COPIES, PASSES, BATCH_SIZE, LEARNING_RATE = 50_000, 300_000, 40, 128, 0.002
TIMED_IMAGES, TIMED_ROUNDS = 12_800, 3


def draw(train: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """50,000 of the training images at random, and the 10,000 that are left over."""
    order = np.random.default_rng(seed).permutation(len(train))
    return train.take(order[:LABELLED]), train.take(order[LABELLED:])


def settings(seed: int, classes: int, side: int, passes: float = PASSES) -> CnnSettings:
    """Return the schedule: `passes` over 50,000 images; the learning rate rises, then falls along a cosine."""
    steps = int(passes * LABELLED / BATCH_SIZE) // 20 * 20
    return CnnSettings(
        seed=seed,
        side=side,
        classes=classes,
        network="book_cnn",
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        precision=resolve_precision("auto"),
    )


def with_copies(known: ImageSet, seed: int) -> ImageSet:
    """Join the labelled images and transformed copies of them."""
    images, labels = transformed_copies(known.images, known.labels, COPIES, seed=seed)
    joined = np.concatenate([known.images, images]), np.concatenate([known.labels, labels])
    return ImageSet(*joined, known.class_names, known.dataset, known.pool)


ARMS = {
    "labelled": ("50,000 labelled", lambda known, seed: known),
    "copies": (f"and {COPIES:,} transformed copies", with_copies),
}


def trained_accuracy(data: ImageSet, held_out: ImageSet, seed: int) -> tuple[float, float]:
    """Accuracy on `held_out` after the last step, and seconds of training."""
    classifier = CnnClassifier(settings(seed, data.classes, data.side))
    start = time.perf_counter()
    classifier.fit(data.images, data.labels)
    seconds = time.perf_counter() - start
    predicted = classifier.predict_proba(held_out.images).argmax(axis=1)
    return float(np.mean(predicted == held_out.labels)), seconds


def images_per_second(contender: str, raw: Path) -> float:
    """Training speed over one pass in a process of its own; building and tracing are part of it."""
    command = [sys.executable, __file__, "--raw", str(raw), "--time", contender]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def timed(train: Callable[[ImageSet], None], data: ImageSet) -> float:
    start = time.perf_counter()
    train(data)
    return len(data) / (time.perf_counter() - start)


def plain_loop(data: ImageSet) -> None:
    """Train the network by `fit` on float32 arrays, as tutorials write it."""
    network = book_cnn(data.side, data.classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(LEARNING_RATE), loss, metrics=["accuracy"])
    network.fit(to_signed(data.images), data.labels, batch_size=BATCH_SIZE, epochs=1, verbose=0)


def one_pass(data: ImageSet) -> None:
    """Train the network as the pipeline does, for one pass."""
    CnnClassifier(settings(0, data.classes, data.side, passes=len(data) / LABELLED)).fit(data.images, data.labels)


CONTENDERS = {"plain": plain_loop, "ours": one_pass}


def speeds(raw: Path) -> tuple[list[float], list[float]]:
    """Images per second of the plain loop and of ours, in alternation."""
    rounds = [[images_per_second(contender, raw) for contender in CONTENDERS] for _ in range(TIMED_ROUNDS)]
    plain, ours = zip(*rounds, strict=True)
    return list(plain), list(ours)


def page(rows: Sequence[Sequence[str]], plain: list[float], ours: list[float], choices: str) -> str:
    """Write the committed report."""
    precision = resolve_precision("auto")
    head = commit_of()
    table = markdown_table(["training images", "draw", "test accuracy %", "test errors", "minutes"], rows, "lrrrr")
    return f"""# The book's network, 50,000 labelled images

MNIST. Book: 99.55 % validation accuracy after 100 epochs. Network as in the book; Adam, learning rate
{LEARNING_RATE} after a rise over a twentieth of the steps, falling to 0 along a cosine, batch {BATCH_SIZE},
{PASSES} passes over 50,000 images, {precision}. Test accuracy after the last step.

{table}
Training speed, median of {TIMED_ROUNDS} rounds in alternation, {TIMED_IMAGES} images each, tracing included:
plain Keras loop in float32 {np.median(plain):.0f} images/s, ours {np.median(ours):.0f} images/s, ratio
{np.median(np.divide(ours, plain)):.2f}.

{processor()}, {cores()} cores; Python {platform.python_version()}; commit {head};
`python benchmarks/fully_labelled.py {choices}`
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder of train.npz and test.npz")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="draws of the 50,000 images")
    parser.add_argument("--arms", choices=ARMS, nargs="+", default=list(ARMS), help="training sets")
    parser.add_argument("--scout", action="store_true", help="measure on the images left over; write nothing")
    parser.add_argument("--time", choices=CONTENDERS, help="print one contender's images per second")
    options = parser.parse_args()
    train = load_images(options.raw / "train.npz")
    if options.time:
        print(timed(CONTENDERS[options.time], train.take(np.arange(TIMED_IMAGES))))
        return
    test = load_images(options.raw / "test.npz")
    rows = []
    for seed in options.seeds:
        known, left_over = draw(train, seed)
        held_out = left_over if options.scout else test
        for arm in options.arms:
            name, make = ARMS[arm]
            data = make(known, seed)
            accuracy, seconds = trained_accuracy(data, held_out, seed)
            errors = round((1 - accuracy) * len(held_out))
            rows.append([name, str(seed), f"{accuracy:.2%}".rstrip("%"), str(errors), f"{seconds / 60:.1f}"])
            print(rows[-1], flush=True)
    if not options.scout:
        choices = f"--seeds {' '.join(map(str, options.seeds))} --arms {' '.join(options.arms)}"
        report = page(rows, *speeds(options.raw), choices)
        write_text(Path(__file__).with_suffix(".md"), report)


if __name__ == "__main__":
    main()
