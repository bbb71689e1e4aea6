"""Whether synthetic images show the class that was asked for, and whether they differ from one another.

Agreement alone is no measure of quality: a generator that has collapsed to one perfect image a class
reaches 1. So read it beside the class histogram, its entropy, and the diversity ratio.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

BLOCK = 1000  # rows of the distance matrix held at once


def label_agreement(asked: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Share of images whose `predicted` class (n,) is the `asked` one (n,); in [0, 1], larger is better.

    With a classifier trained on real images this is GAN-test (Shmelkov et al. 2018, arXiv 1807.09499);
    with one trained on synthetic images, asked for the classes of real ones, it is GAN-train, which Ravuri and
    Vinyals 2019, arXiv 1905.10887, call the classification accuracy score.
    Raises ValueError on empty arrays and on shapes that differ.
    """
    if asked.shape != predicted.shape or asked.ndim != 1 or not len(asked):
        raise ValueError(f"expected two label arrays of one shape (n,), received {asked.shape}, {predicted.shape}")
    return float(np.mean(asked == predicted))


def agreement_per_class(
    asked: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> list[float | None]:
    """`label_agreement` of the images asked for each class; None for a class that was never asked for."""
    chosen = [asked == label for label in range(classes)]
    return [label_agreement(asked[rows], predicted[rows]) if rows.any() else None for rows in chosen]


def class_histogram(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count the images of each class, (classes,); ValueError on a label outside 0 to classes - 1."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"expected labels from 0 to {classes - 1}, received {labels.min()} to {labels.max()}")
    return np.bincount(labels, minlength=classes).astype(np.int64)


def mode_entropy(histogram: NDArray[np.integer]) -> float:
    """Shannon entropy in nats of a class histogram (classes,): 0 = one class alone, log(classes) = all alike.

    Larger is better where all classes were asked for evenly. Shannon 1948, doi 10.1002/j.1538-7305.1948.tb01338.x.
    ValueError on an empty histogram and on negative counts.
    """
    if not histogram.size or histogram.min() < 0 or not histogram.sum():
        raise ValueError(f"expected counts of 0 or more, not all 0, received {histogram.tolist()}")
    shares = histogram[histogram > 0] / histogram.sum()
    return max(0.0, -float(np.sum(shares * np.log(shares))))


def diversity_per_class(
    features_synth: NDArray[np.floating],
    labels_synth: NDArray[np.int64],
    features_real: NDArray[np.floating],
    labels_real: NDArray[np.int64],
) -> dict[int, float]:
    """Mean distance between two synthetic images of a class over that between two real ones, for each class.

    Features are (n, d) and (m, d), labels (n,) and (m,). 0 = collapsed to one image, 1 = as diverse as
    real images; above 1 where images stray from their class. A class of which there are no two synthetic
    images has diversity 0; one of which there are no two different real images has none and is left out.
    The idea, with MS-SSIM in place of features, is that of Odena et al. 2017, arXiv 1610.09585, section 4.2.
    """
    ratios = {}
    for label in np.unique(labels_real):
        reference = _mean_distance(features_real[labels_real == label])
        if reference > 0:
            ratios[int(label)] = _mean_distance(features_synth[labels_synth == label]) / reference
    return ratios


def diversity_ratio(
    features_synth: NDArray[np.floating],
    labels_synth: NDArray[np.int64],
    features_real: NDArray[np.floating],
    labels_real: NDArray[np.int64],
) -> float:
    """Mean of `diversity_per_class` over the classes; ValueError where no class has two different real images."""
    return mean_diversity(diversity_per_class(features_synth, labels_synth, features_real, labels_real))


def mean_diversity(ratios: Mapping[int, float]) -> float:
    """Mean over the classes that have a ratio; ValueError where none has."""
    if not ratios:
        raise ValueError("expected a class with at least 2 different real images, received none")
    return float(np.mean(list(ratios.values())))


def _mean_distance(features: NDArray[np.floating]) -> float:
    """Mean Euclidean distance over all pairs of different rows; 0 where there are no two rows."""
    count = len(features)
    if count < 2:
        return 0.0
    total = sum(cdist(features[start : start + BLOCK], features).sum() for start in range(0, count, BLOCK))
    return float(total) / (count * (count - 1))
