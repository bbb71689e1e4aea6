"""Intervals and tests for accuracies that were measured on the same images."""

import math
import sys

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri

BOOTSTRAP_STREAM = 1979  # keeps these draws apart from every other use of the seed


def proportion_interval(errors: int, n: int, level: float) -> tuple[float, float]:
    """Wilson score interval (1927) for a proportion of which `errors` among `n` were seen, in [0, 1].

    `level` is the coverage, as 0.95. Unlike errors / n ± z·s it stays inside [0, 1] and is no point at 0 errors.
    """
    if not 0 <= errors <= n or n < 1:
        raise ValueError(f"expected 0 <= errors <= n and n >= 1, received errors={errors}, n={n}")
    z = float(ndtri((1 + level) / 2))
    shrunk = (errors + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(errors * (n - errors) / n + z * z / 4)
    # At either end the bound is exactly 0 or 1, which the sums miss by a rounding error.
    low = 0.0 if errors == 0 else shrunk - half
    high = 1.0 if errors == n else shrunk + half
    return low, high


def paired_bootstrap(
    correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], *, resamples: int, level: float, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron 1979) of mean(b) - mean(a), images resampled in pairs.

    correct_a, correct_b: bool (n,), whether each of the same n images was classified correctly. The difference
    of a pair is -1, 0 or 1, so a resample of n images is one multinomial draw of their three counts: exact,
    and independent of n. Of few images that differ it covers too little, and none of no such image: a point.
    """
    worse, better = _discordant(correct_a, correct_b)
    n = len(correct_a)
    generator = np.random.default_rng([seed, BOOTSTRAP_STREAM])
    draws = generator.multinomial(n, [worse / n, better / n, (n - worse - better) / n], resamples)
    changes = (draws[:, 1] - draws[:, 0]) / n  # (resamples,)
    low, high = np.quantile(changes, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mcnemar_exact(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> float:
    """Two-sided exact p of McNemar's test (1947) that a and b, bool (n,), err equally often.

    The images that one of them alone classified correctly are then coin tosses; p is 1 if there are none. What is
    less than a float can hold is given as the least one, about 2e-308.
    """
    worse, better = _discordant(correct_a, correct_b)
    if worse == better:
        return 1.0
    p = 2 * float(bdtr(min(worse, better), worse + better, 0.5))
    return min(1.0, max(p, sys.float_info.min))


def _discordant(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> tuple[int, int]:
    """How many images a alone, and b alone, classified correctly."""
    if correct_a.shape != correct_b.shape or correct_a.ndim != 1 or correct_a.size == 0:
        raise ValueError(
            f"expected two arrays of one shape (n,), n >= 1, received {correct_a.shape} and {correct_b.shape}"
        )
    if correct_a.dtype != np.bool_ or correct_b.dtype != np.bool_:
        raise ValueError(f"expected two arrays of dtype bool, received {correct_a.dtype} and {correct_b.dtype}")
    return int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
