"""The Fréchet distance between two sets of features (Heusel et al. 2017, arXiv 1706.08500)."""

import numpy as np
from numpy.typing import NDArray

from semisynth.quality.features import check_features


def frechet_distance(features_a: NDArray[np.floating], features_b: NDArray[np.floating]) -> float:
    """Distance between the Gaussians fitted to `features_a` (n, d) and `features_b` (m, d).

    0 or more, smaller is nearer. Its unit is that of the features squared, so values from different
    extractors can't be compared, and it falls as n and m grow, so a reference needs sets of the same size.
    Raises ValueError on fewer than 2 rows, on unequal widths, and on features that aren't finite.
    """
    check_features(features_a, features_b)
    return frechet_from_moments(*_moments(features_a), *_moments(features_b))


def frechet_from_moments(
    mean_a: NDArray[np.floating],
    covariance_a: NDArray[np.floating],
    mean_b: NDArray[np.floating],
    covariance_b: NDArray[np.floating],
) -> float:
    """|mean_a - mean_b|² + tr(A + B - 2 (A B)^½) for means (d,) and covariances A, B (d, d); never below 0.

    tr (A B)^½ is the sum of the singular values of A^½ B^½. That form stays real, and takes no root of a
    rounding error, where A or B is singular (fewer images than features, units that are always 0).
    Raises ValueError on shapes that don't match.
    """
    width = len(mean_a)
    shapes = [mean_a.shape, covariance_a.shape, mean_b.shape, covariance_b.shape]
    if shapes != [(width,), (width, width)] * 2:
        raise ValueError(f"expected shapes (d,), (d, d), (d,), (d, d), received {shapes}")
    product = _symmetric_root(covariance_a) @ _symmetric_root(covariance_b)
    overlap = np.linalg.svd(product, compute_uv=False).sum()
    shift = np.square(mean_a - mean_b).sum()
    return max(0.0, float(shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap))


def _moments(features: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = features.astype(np.float64)
    return rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False))


def _symmetric_root(covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)
