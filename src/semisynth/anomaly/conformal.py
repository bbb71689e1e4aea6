"""From scores to probabilities: conformal p-values, and scores of several detectors on one scale."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from scipy.stats import norm

KNOTS = 200


def p_values(scores: NDArray[np.floating], calibration: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of normal images at least as abnormal, (1 + those of `calibration`) / (1 + m), in (0, 1].

    `calibration` float64 (m,), ascending: scores of normal images that no fitting saw. For a normal image the
    chance of a p-value of at most α is at most α, whatever the scores' distribution (Vovk et al. 2005,
    *Algorithmic Learning in a Random World*; for outliers Bates et al. 2023, arXiv 2104.08279).
    """
    above = len(calibration) - np.searchsorted(calibration, scores, side="left")
    return np.asarray((1 + above) / (1 + len(calibration)), np.float64)


def least_alpha(count: int) -> float:
    """The least false-alarm rate that `count` calibration scores can tell apart."""
    return 1 / (1 + count)


class NormalScale:
    """Maps one detector's scores, increasing, to where they would stand if normal images' were standard normal.

    Linear between quantiles of held-out normal images; beyond the last one logarithmic, so that what lies
    far outside still ranks, and no detector drowns out the others.
    """

    def __init__(self, knots: NDArray[np.float64], heights: NDArray[np.float64]) -> None:
        self.knots, self.heights = knots, heights

    @classmethod
    def fit(cls, scores: NDArray[np.float64]) -> Self:
        """Learn the quantiles of `scores` float64 (n,), of normal images."""
        ordered = np.sort(scores)
        n = len(ordered)
        ranks = np.unique(np.linspace(0, n - 1, min(n, KNOTS)).round().astype(int))
        # Both ends matter most, and have the widest gaps: every rank there is a knot.
        ranks = np.union1d(ranks, np.concatenate([np.arange(min(n, 20)), np.arange(max(0, n - 20), n)]))
        knots, first, counts = np.unique(ordered[ranks], return_index=True, return_counts=True)
        middle = (ranks[first] + ranks[first + counts - 1]) / 2  # of equal scores, those between knots as well
        return cls(knots, norm.ppf((middle + 0.5) / n))

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Standard-normal scores float64 (n,)."""
        inside = np.interp(scores, self.knots, self.heights)
        spread = self.knots[-1] - np.interp(self.heights[-1] - 1, self.heights, self.knots)
        beyond = np.maximum(np.asarray(scores, np.float64) - self.knots[-1], 0) / max(spread, 1e-12)
        before = np.maximum(self.knots[0] - np.asarray(scores, np.float64), 0) / max(spread, 1e-12)
        return np.asarray(inside + np.log1p(beyond) - np.log1p(before), np.float64)


def fisher(normal_scores: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Combine normal scores (members, n): minus the weighted mean log of their tail probabilities, float64 (n,).

    R. A. Fisher's method (*Statistical Methods for Research Workers*, section 21.1) with `weights` float64
    (members,), as in I. J. Good 1955, "On the weighted combination of significance tests", J. R. Stat. Soc. B 17;
    one sure member suffices. The members depend on each other, so no distribution in closed form holds: calibrate.
    """
    return np.average(-log_ndtr(-normal_scores), axis=0, weights=weights)
