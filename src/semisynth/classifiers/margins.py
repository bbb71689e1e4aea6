"""From the pairwise decisions of a support vector machine to probabilities of classes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.svm import SVC

_CHUNK = 1000  # rows at a time: bounds the memory of the kernel matrix and the decisions
_TEMPERATURES = (1e-3, 1e3)


def class_scores(model: SVC, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lost margins float32 (n, k) of `rows` float32 (n, pixels) by a fitted RBF machine of k classes."""
    none = np.zeros((0, len(model.classes_)), np.float32)
    return np.concatenate([none, *map(lost_margins, pairwise_decisions(model, rows))])


def lost_margins(decisions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score float32 (n, k) <= 0 of each class: the sum of the margins by which it loses to other classes.

    The class with most votes nearly always comes first, as in scikit-learn, but unlike votes the score is
    graded: it tells a clear case from a narrow one. `decisions` are (n, k, k), as `pairwise_decisions` gives them.
    """
    return np.asarray(np.minimum(decisions, 0).sum(axis=2))


def pairwise_decisions(model: SVC, rows: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield decisions float32 (1000 or fewer, k, k) of a fitted RBF machine for `rows` float32 (n, pixels).

    Above 0 at [i, j] where class i beats class j: the same numbers as `decision_function`, some ten times
    faster, as the kernel is one matrix product.
    """
    support = model.support_vectors_.astype(np.float32)
    weights = _pair_weights(model)
    first, second = np.triu_indices(len(model.classes_), 1)
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        distances = (part**2).sum(1)[:, np.newaxis] + (support**2).sum(1) - 2 * part @ support.T
        decisions = np.exp(-np.float32(model.gamma) * distances) @ weights + _intercepts(model)
        result = np.zeros((len(part), len(model.classes_), len(model.classes_)), np.float32)
        result[:, first, second] = decisions
        result[:, second, first] = -decisions
        yield result


def fitted_temperature(scores: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Find the t for which softmax(`scores` (n, k) / t) gives `targets` (n,) the least log loss.

    Guo et al., "On calibration of modern neural networks" (ICML 2017). The scores must come from images
    that did not train the model. Of each target a share of 1 / (n + 2) goes to the other classes, as in Platt,
    "Probabilistic outputs for support vector machines" (1999): few images that are all told apart make none sure.
    """
    doubt, classes = 1 / (len(targets) + 2), scores.shape[1]

    def log_loss(log_temperature: float) -> float:
        scaled = scores.astype(np.float64) / np.exp(log_temperature)
        own = scaled[np.arange(len(targets)), targets]
        others = (scaled.sum(axis=1) - own) / (classes - 1)
        return float((np.logaddexp.reduce(scaled, axis=1) - (1 - doubt) * own - doubt * others).mean())

    bounds = tuple(np.log(_TEMPERATURES))
    return float(np.exp(minimize_scalar(log_loss, bounds=bounds, method="bounded").x))


def _pair_weights(model: SVC) -> NDArray[np.float32]:
    """Weight of each support vector in each pair of classes, (vectors, pairs); pairs as `np.triu_indices`."""
    count = len(model.classes_)
    ends = np.cumsum(model.n_support_)
    blocks = [slice(end - size, end) for end, size in zip(ends, model.n_support_, strict=True)]
    weights = np.zeros((ends[-1], count * (count - 1) // 2), np.float32)
    for pair, (i, j) in enumerate(zip(*np.triu_indices(count, 1), strict=True)):
        weights[blocks[i], pair] = model.dual_coef_[j - 1, blocks[i]]
        weights[blocks[j], pair] = model.dual_coef_[i, blocks[j]]
    weights *= _direction(model)
    return weights


def _intercepts(model: SVC) -> NDArray[np.float32]:
    return np.asarray(model.intercept_ * _direction(model), np.float32)


def _direction(model: SVC) -> int:
    """With two classes scikit-learn turns the sign round: there a positive decision is for the second class."""
    return -1 if len(model.classes_) == 2 else 1
