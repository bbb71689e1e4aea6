"""Precision, recall, density and coverage: whether two sets of features lie among each other's neighbours.

Every image has a ball that reaches to its k-th nearest neighbour in its own set. Precision and recall are of
Kynkäänniemi et al. 2019, arXiv 1904.06991; density and coverage of Naeem et al. 2020, arXiv 2002.09797. As in the
latter's code a ball does not hold its edge, which repeated images alone tell: one with k copies has no ball.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_chunked

from semisynth.quality.features import check_features

NEAREST = 5
MEBIBYTES = 64  # of a distance matrix held at once


class Neighbourhood(NamedTuple):
    """All four are shares in [0, 1] except density, which is 0 or more; larger is better in all.

    Two samples of one distribution don't reach 1 in all of them: a real-versus-real value says what can be
    had. All fall or rise with the numbers of images and k, so compare at equal ones.
    """

    precision: float
    """Share of synthetic images inside a real image's ball: fidelity. One real outlier can raise it."""
    recall: float
    """Share of real images inside a synthetic image's ball: diversity. Stray synthetic images raise it."""
    density: float
    """Number of real balls that a synthetic image lies in, over k: fidelity, about 1 for real images."""
    coverage: float
    """Share of real images with a synthetic image in their ball: diversity."""


def neighbourhood(real: NDArray[np.floating], synthetic: NDArray[np.floating], k: int = NEAREST) -> Neighbourhood:
    """Precision, recall, density and coverage of `synthetic` (m, d) against `real` (n, d), from one pass.

    The distance matrix is made in blocks, so memory stays bounded. Raises ValueError unless both sets have
    more than `k` rows, one width and finite values.
    """
    if k < 1:
        raise ValueError(f"expected k of 1 or more, received {k}")
    check_features(real, synthetic, least=k + 1)
    real, synthetic = real.astype(np.float64), synthetic.astype(np.float64)
    real_radii, synthetic_radii = radii(real, k), radii(synthetic, k)
    balls, recalled, covered, start = np.zeros(len(synthetic), np.int64), 0, 0, 0
    for block in pairwise_distances_chunked(real, synthetic, working_memory=MEBIBYTES):
        own = real_radii[start : start + len(block), np.newaxis]
        balls += (block < own).sum(axis=0)
        recalled += int((block < synthetic_radii).any(axis=1).sum())
        covered += int((block < own).any(axis=1).sum())
        start += len(block)
    return Neighbourhood(
        precision=float(np.mean(balls > 0)),
        recall=recalled / len(real),
        density=float(balls.mean() / k),
        coverage=covered / len(real),
    )


def radii(features: NDArray[np.floating], k: int = NEAREST) -> NDArray[np.float64]:
    """Euclidean distance (n,) from each row of `features` (n, d) to the k-th nearest other row; k below n."""
    # At place 0 is the row itself. The copy lets go of the block.
    blocks = pairwise_distances_chunked(
        features,
        reduce_func=lambda block, _: np.partition(block, k, axis=1)[:, k].copy(),
        working_memory=MEBIBYTES,
    )
    return np.concatenate(list(blocks))
