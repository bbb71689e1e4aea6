"""Cross-validation inside the labelled images: the best classifier is chosen without any other label."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from semisynth.classifiers.base import Classifier

Indices = NDArray[np.int64]

_SUBSAMPLE = 51  # tells this module's random stream from others of the same seed


def cross_validated_accuracy(
    make_classifier: Callable[[], Classifier],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    folds: int,
    most_images: int,
    seed: int,
) -> float | None:
    """Share in [0, 1] of held-out images that fresh classifiers get right, all folds together.

    `images` uint8 (n, side, side), `labels` int64 (n,). None where a class has fewer than 2 images.
    See `stratified_folds` for `folds` and `most_images`.
    """
    parts = stratified_folds(labels, folds=folds, most_images=most_images, seed=seed)
    if not parts:
        return None
    correct = [_held_out_correct(make_classifier(), images, labels, *part) for part in parts]
    return float(np.concatenate(correct).mean())


def stratified_folds(
    labels: NDArray[np.int64], *, folds: int, most_images: int, seed: int
) -> list[tuple[Indices, Indices]]:
    """(training, held-out) indices into `labels` for each fold, over at most `most_images` of them.

    There are `folds`, or as many as the smallest class has images; none where that is fewer than 2.
    """
    chosen = _subsample(labels, most_images, seed)
    _, counts = np.unique(labels[chosen], return_counts=True)
    count = min(folds, int(counts.min()))
    if count < 2 or len(counts) < 2:
        return []
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    return [(chosen[train], chosen[held]) for train, held in splitter.split(chosen, labels[chosen])]


def _held_out_correct(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    train: Indices,
    held: Indices,
) -> NDArray[np.bool_]:
    fitted = classifier.fit(images[train], labels[train])
    return np.asarray(fitted.predict_proba(images[held]).argmax(axis=1) == labels[held])


def _subsample(labels: NDArray[np.int64], most: int, seed: int) -> Indices:
    """At most `most` random indices in rising order, every class in proportion."""
    order = np.random.default_rng([seed, _SUBSAMPLE]).permutation(len(labels))
    quantile = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        quantile[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.argsort(quantile, kind="stable")[:most])
