"""How well scores rank anomalies above normal images: three measures in [0, 1], larger is better.

All take `is_anomaly` bool (n,) and `scores` float (n,), larger = more abnormal, and raise ValueError where
there are only anomalies or none, and on scores that aren't finite.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from semisynth.anomaly.planted import PlantedSet

ALL_KINDS = "all"


def auroc(is_anomaly: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Chance that an anomaly scores above a normal image, ties counting half; 0.5 = as good as none."""
    _check(is_anomaly, scores)
    return float(roc_auc_score(is_anomaly, scores))


def average_precision(is_anomaly: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Precision averaged over the ranks of the anomalies; the share of anomalies = as good as none."""
    _check(is_anomaly, scores)
    return float(average_precision_score(is_anomaly, scores))


def precision_at_k(is_anomaly: NDArray[np.bool_], scores: NDArray[np.floating], k: int) -> float:
    """Share of anomalies among the `k` highest scores; where scores tie at the end, their average share counts."""
    _check(is_anomaly, scores)
    if not 1 <= k <= len(scores):
        raise ValueError(f"expected k from 1 to {len(scores)}, received {k}")
    last = np.sort(scores)[-k]
    above, tied = scores > last, scores == last
    hits = is_anomaly[above].sum() + (k - above.sum()) * is_anomaly[tied].mean()
    return float(hits / k)


def ranking_by_kind(planted: PlantedSet, scores: NDArray[np.floating]) -> dict[str, dict[str, float]]:
    """AUROC and average precision of "all" anomalies, and of each kind alone among the normal images."""
    masks = {kind: planted.among_normals(kind) for kind in planted.kinds}
    masks = {ALL_KINDS: np.ones(len(scores), bool), **masks}
    return {
        kind: {
            "auroc": auroc(planted.is_anomaly[mask], scores[mask]),
            "average_precision": average_precision(planted.is_anomaly[mask], scores[mask]),
        }
        for kind, mask in masks.items()
    }


def _check(is_anomaly: NDArray[np.bool_], scores: NDArray[np.floating]) -> None:
    if is_anomaly.shape != scores.shape or is_anomaly.ndim != 1:
        raise ValueError(f"expected two arrays of one shape (n,), received {is_anomaly.shape} and {scores.shape}")
    if is_anomaly.all() or not is_anomaly.any():
        raise ValueError(f"expected anomalies and normal images, received {is_anomaly.sum()} of {is_anomaly.size}")
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, received NaN or infinity")
