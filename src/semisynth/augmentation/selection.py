"""Pseudo-labels: which unlabelled images get the label that a teacher gives them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ALIKE = 1e-6  # apart, at most, are probabilities of which none is preferred
SURER_THAN_GUESSED = 1.5
_DRAW = 43  # tells this module's random stream from others of the same seed


def average_probabilities(members: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    """Mean float32 (n, classes) of the probabilities (n, classes) of one teacher's members, at least one."""
    return np.asarray(np.mean(np.stack(members), axis=0, dtype=np.float64), np.float32)


def above_chance(threshold: float, classes: int) -> float:
    """The `threshold`, or 1.5 times the chance of a guess where `classes` are so few that this is more."""
    return max(threshold, SURER_THAN_GUESSED / classes)


def sure_enough(probabilities: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Whether (n,) the likeliest of (n, classes) has at least `threshold`; where all are alike, it never has."""
    confidence = np.clip(probabilities.max(axis=1), 0, 1).astype(np.float32)
    return np.asarray((confidence >= np.float32(threshold)) & (np.ptp(probabilities, axis=1) > ALIKE))


def select_confident(
    probabilities: NDArray[np.floating], *, threshold: float, per_class: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Draw up to `per_class` images of each class among those that are `sure_enough`.

    From `probabilities` (n, classes) to row indices int64 (m,), labels int64 (m,) and confidence float32 (m,)
    in [0, 1], ordered by class. The draw is random: the surest images are the ones that the classifiers have
    least to learn from. A class that too few images reach ends with fewer; m may be 0.
    """
    rng = np.random.default_rng([seed, _DRAW])
    labels = probabilities.argmax(axis=1).astype(np.int64)
    confidence = np.clip(probabilities.max(axis=1), 0, 1).astype(np.float32)
    reached = sure_enough(probabilities, threshold)
    chosen = np.concatenate(
        [
            np.sort(rng.permutation(np.flatnonzero(reached & (labels == label)))[:per_class])
            for label in range(probabilities.shape[1])
        ]
    )
    return chosen, labels[chosen], confidence[chosen]
