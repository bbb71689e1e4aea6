"""The kernel distance between two sets of features (Bińkowski et al. 2018, arXiv 1801.01401)."""

import numpy as np
from numpy.typing import NDArray

from semisynth.quality.features import check_features

BLOCK = 1000  # rows of a kernel matrix held at once


def squared_mmd(features_a: NDArray[np.floating], features_b: NDArray[np.floating]) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, with the kernel (x · y / d + 1)³.

    For `features_a` (n, d) and `features_b` (m, d). Its expectation is 0 for draws from one distribution
    and positive for others, whatever n and m; a single estimate may lie below 0. Smaller is nearer. It
    grows with the scale of the features, so values from different extractors can't be compared.
    Raises ValueError on fewer than 2 rows, on unequal widths, and on features that aren't finite.
    """
    check_features(features_a, features_b)
    a, b = features_a.astype(np.float64), features_b.astype(np.float64)
    return _mean_off_diagonal(a) + _mean_off_diagonal(b) - 2 * _kernel_sum(a, b) / (len(a) * len(b))


def kernel_distance(
    features_a: NDArray[np.floating],
    features_b: NDArray[np.floating],
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Mean of `squared_mmd` over random subsets, and its standard deviation over them.

    Each subset draws min(n, m, `subset_size`) rows of both sets without replacement, so memory is bounded.
    The deviation is that of one subset's estimate, not the error of the mean: subsets overlap.
    """
    check_features(features_a, features_b)
    random, size = np.random.default_rng(seed), min(len(features_a), len(features_b), subset_size)
    estimates = [
        squared_mmd(*(part[random.choice(len(part), size, replace=False)] for part in (features_a, features_b)))
        for _ in range(subsets)
    ]
    return float(np.mean(estimates)), float(np.std(estimates))


def _mean_off_diagonal(rows: NDArray[np.float64]) -> float:
    own = _sum_of_cubes(np.square(rows).mean(axis=1) + 1)  # an image with itself tells nothing
    return (_kernel_sum(rows, rows) - own) / (len(rows) * (len(rows) - 1))


def _kernel_sum(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    blocks = (a[start : start + BLOCK] for start in range(0, len(a), BLOCK))
    return sum(_sum_of_cubes(block @ b.T / a.shape[1] + 1) for block in blocks)


def _sum_of_cubes(values: NDArray[np.float64]) -> float:
    return float(np.vdot(np.square(values), values))  # many times as fast as a power
