"""An alarm for mode collapse: samples that look alike, epoch after epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisynth.quality.labels import class_histogram, diversity_ratio, mode_entropy


@dataclass(frozen=True)
class Diversity:
    """How diverse the samples of one epoch are, against real images; larger is more diverse.

    `classes` is the entropy of the class histogram over the expected one, in [0, 1]. `features` is the mean
    distance between two samples over that between two real images: 0 = all alike, 1 = as diverse as real ones.
    """

    features: float
    classes: float


def measure_diversity(
    samples: NDArray[np.floating],
    real: NDArray[np.floating],
    labels: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
    shown: NDArray[np.int64],
    classes: int,
    expected: NDArray[np.int64] | None = None,
) -> Diversity:
    """Diversity of features `samples` (n, d) against `real` (m, d), a few hundred of each.

    `shown` are the classes int64 (n,) that a classifier finds in the samples. With `labels`, classes int64 (n,)
    and (m,), features are compared within each class, as a generator may make one image a class; without, all
    together. `expected` are classes int64 (k,) whose shares the samples should have; None: even ones. ValueError
    where the real images are all alike.
    """
    ours, theirs = labels or (np.zeros(len(samples), np.int64), np.zeros(len(real), np.int64))
    entropy = mode_entropy(class_histogram(shown, classes))
    whole = math.log(classes) if expected is None else mode_entropy(class_histogram(expected, classes))
    return Diversity(
        features=diversity_ratio(samples, ours, real, theirs),
        classes=min(1.0, entropy / whole) if whole else 1.0,
    )


def collapse_warning(
    epochs: Sequence[Diversity], *, least_features: float = 0.4, least_classes: float = 0.7, patience: int = 2
) -> str | None:
    """A line of warning where a measure was below its least in all of the last `patience` epochs, else None.

    Asked after every epoch with all epochs so far, it depends on nothing else, so it survives a resumption.
    """
    recent = epochs[-patience:]
    if len(recent) < patience:
        return None
    last, since = recent[-1], f"in the last {patience} epochs"
    if all(epoch.features < least_features for epoch in recent):
        return (
            f"mode collapse? Samples differ from one another {last.features:.2f} times as much as real images do, "
            f"expected {least_features} or more, {since}"
        )
    if all(epoch.classes < least_classes for epoch in recent):
        return (
            f"mode collapse? The entropy of the samples' classes is {last.classes:.2f} times what it should be, "
            f"expected {least_classes} or more, {since}"
        )
    return None
