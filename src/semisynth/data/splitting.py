"""Which images are labelled, unlabelled, for validation and for test: pure functions of labels and a seed."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisynth.data.summary import digest_of_array
from semisynth.errors import SemisynthError

Indices = NDArray[np.int64]

MOST_UNEVEN = 1.15  # an even share of the labels may exceed the smallest class by this factor
TEST, VALIDATION, LABELLED, REMAINDER = range(4)  # streams of random numbers from one seed


@dataclass(frozen=True)
class SplitIndices:
    """Rows of the training images, each int64 and sorted; disjoint, and together all rows."""

    labelled: Indices
    unlabelled: Indices
    validation: Indices


def stratified_test_split(
    labels: NDArray[np.int64], class_names: Sequence[str], fraction: float, seed: int
) -> tuple[Indices, Indices]:
    """Rows for training and for test: `fraction` of each class, at least one and never all, is for test.

    `labels`: (n,), -1 where there is none: such images are for training. Raises SemisynthError that names a class
    with fewer than two images.
    """
    rows = _rows_of_classes(labels, len(class_names))
    for name, of_class in zip(class_names, rows, strict=True):
        if len(of_class) < 2:
            raise SemisynthError(
                f"class {name!r}: expected at least 2 labelled images, for training and test, "
                f"received {len(of_class)}"
            )
    train, test = _cut(rows, fraction, np.random.default_rng([seed, TEST]))
    return _joined([*train, _rows_without(labels)]), _joined(test)


def split_indices(
    labels: NDArray[np.int64], class_names: Sequence[str], labelled: int, validation_fraction: float, seed: int
) -> SplitIndices:
    """Draw `labelled` images evenly over the classes, after `validation_fraction` of each class is set apart.

    A remainder goes one each to classes drawn at random. Validation does not depend on `labelled`, and with one
    seed a smaller draw is part of a larger one. A class that is smaller than its even share, by no more than
    the factor MOST_UNEVEN, gives all that it has and the others give the rest: so 50,000 of MNIST's images can
    be drawn, although its classes differ in size.

    `labels`: (n,), -1 where there is none: such images are unlabelled. Raises SemisynthError with the numbers
    where a class is smaller than that or would get no label, or where no image would be left unlabelled.
    """
    rows = _rows_of_classes(labels, len(class_names))
    rest, validation = _cut(rows, validation_fraction, np.random.default_rng([seed, VALIDATION]))
    if not any(map(len, validation)):
        raise SemisynthError(
            "split.validation: expected a class of 2 labelled images or more, of which one is for validation, "
            f"received {max(map(len, rows))} of each class at most"
        )
    available = np.array([len(of_class) for of_class in rest])
    without = _rows_without(labels)
    _check_draw(labelled, available, class_names, len(without))
    shares = _even_shares(labelled, available, np.random.default_rng([seed, REMAINDER]))
    generator = np.random.default_rng([seed, LABELLED])
    drawn = [generator.permutation(of_class) for of_class in rest]
    return SplitIndices(
        labelled=_joined(of_class[:share] for of_class, share in zip(drawn, shares, strict=True)),
        unlabelled=_joined([*(of_class[share:] for of_class, share in zip(drawn, shares, strict=True)), without]),
        validation=_joined(validation),
    )


def digest_of_indices(indices: Indices) -> str:
    """SHA-256, in hexadecimal, of the sorted indices as little-endian int64: equal sets, equal digests."""
    return digest_of_array(np.sort(indices.astype(np.int64)))


def _rows_without(labels: NDArray[np.int64]) -> Indices:
    return np.flatnonzero(labels < 0)


def _rows_of_classes(labels: NDArray[np.int64], classes: int) -> list[Indices]:
    return [np.flatnonzero(labels == label) for label in range(classes)]


def _cut(
    rows: Sequence[Indices], fraction: float, generator: np.random.Generator
) -> tuple[list[Indices], list[Indices]]:
    """Each class's rows in two random parts: what is kept, at least one, and `fraction` of them."""
    shuffled = [generator.permutation(of_class) for of_class in rows]
    sizes = [min(max(round(fraction * len(of_class)), 1), max(len(of_class) - 1, 0)) for of_class in rows]
    cuts = list(zip(shuffled, sizes, strict=True))
    return [np.sort(of_class[size:]) for of_class, size in cuts], [of_class[:size] for of_class, size in cuts]


def _joined(parts: Iterable[Indices]) -> Indices:
    return np.sort(np.concatenate(list(parts)))


def _check_draw(labelled: int, available: Indices, class_names: Sequence[str], without: int) -> None:
    classes, smallest = len(available), int(np.argmin(available))
    total = int(available.sum())
    most = total if without else total - 1  # one image at least is unlabelled
    if labelled < classes:
        raise SemisynthError(
            f"split.labelled: {labelled} asked for, expected at least one for each of {classes} classes"
        )
    if labelled / classes > MOST_UNEVEN * available[smallest]:
        raise SemisynthError(
            f"split.labelled: {labelled} asks for {math.ceil(labelled / classes)} labelled images of class "
            f"{class_names[smallest]!r}, which has {available[smallest]} beside validation; "
            f"expected at most {min(most, math.floor(MOST_UNEVEN * available[smallest] * classes))} in all"
        )
    if labelled > most:
        raise SemisynthError(
            f"split.labelled: {labelled} asked for of the {total} labelled images beside validation, "
            f"expected at most {most}: one image at least must be unlabelled"
        )


def _even_shares(labelled: int, available: Indices, generator: np.random.Generator) -> Indices:
    """How many images each class gives: as even as `available` allows, `labelled` in all."""
    order = generator.permutation(len(available))

    def total(level: int) -> int:
        """How many images there are where each class gives `level`, or all that it has."""
        return int(np.minimum(available, level).sum())

    level = bisect_right(range(int(available.max()) + 1), labelled, key=total) - 1
    shares = np.minimum(available, level)
    larger = order[available[order] > level]
    shares[larger[: labelled - shares.sum()]] += 1
    return shares
