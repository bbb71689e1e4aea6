"""Distances between two histograms over the same bins.

All take counts or shares (bins,), 0 or more and not all 0, which are scaled to sum to 1. Each is 0 for equal
shares and smaller is nearer; of counts, all rise as the images get fewer. How they bound each other: Gibbs and Su
2002, arXiv math/0209021.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Histogram = NDArray[np.number]


def total_variation(a: Histogram, b: Histogram) -> float:
    """Half the sum of the differences, in [0, 1]: the share of images that would have to change their bin."""
    p, q = _shares(a, b)
    return float(np.abs(p - q).sum() / 2)


def kl_divergence(a: Histogram, b: Histogram) -> float:
    """Σ a log(a / b) in nats, from 0 to infinity: infinite where `a` fills a bin that `b` leaves empty.

    Not symmetric. With synthetic shares as `a` and real ones as `b` it punishes what no real image shows and
    hardly feels a class that is missing. Kullback and Leibler 1951, doi 10.1214/aoms/1177729694.
    """
    p, q = _shares(a, b)
    return max(0.0, float(rel_entr(p, q).sum()))


def jensen_shannon(a: Histogram, b: Histogram) -> float:
    """Mean divergence of `a` and `b` from their average, in nats, in [0, log 2]; symmetric and always finite.

    The divergence, not its square root. Lin 1991, doi 10.1109/18.61115.
    """
    p, q = _shares(a, b)
    middle = (p + q) / 2
    return max(0.0, float(rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2)


def earth_movers(a: Histogram, b: Histogram, spacing: float = 1.0) -> float:
    """Least mean way that shares must be moved to turn `a` into `b`; in [0, (bins - 1) × `spacing`].

    `spacing` is the distance from one bin to the next, and sets the unit. It takes the order of the bins
    for meaning: grey levels have one, classes have only their numbers.
    Rubner et al. 2000, doi 10.1023/A:1026543900054.
    """
    p, q = _shares(a, b)
    return float(np.abs(np.cumsum(p - q)[:-1]).sum() * spacing)


def histogram_distances(a: Histogram, b: Histogram, spacing: float = 1.0) -> dict[str, float | None]:
    """Give all four by name; an infinite `kl_divergence` is None."""
    divergence = kl_divergence(a, b)
    return {
        "total_variation": total_variation(a, b),
        "kl_divergence": divergence if np.isfinite(divergence) else None,
        "jensen_shannon": jensen_shannon(a, b),
        "earth_movers": earth_movers(a, b, spacing),
    }


def pixel_histogram(images: NDArray[np.uint8], bins: int = 32) -> NDArray[np.int64]:
    """Count the pixels of uint8 images (n, side, side) in `bins` equal parts of the grey levels 0 to 255.

    `bins` must divide 256 (ValueError).
    """
    if bins < 1 or 256 % bins:
        raise ValueError(f"expected a number of bins that divides 256, received {bins}")
    counts = np.bincount(images.ravel(), minlength=256)
    return np.asarray(counts.reshape(bins, -1).sum(axis=1), np.int64)


def _shares(a: Histogram, b: Histogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two histograms of one shape (bins,), received {a.shape} and {b.shape}")
    for counts in (a, b):
        if not np.isfinite(counts).all() or (counts < 0).any() or not counts.sum():
            raise ValueError(f"expected counts of 0 or more, not all 0, received {counts.tolist()}")
    return a / a.sum(), b / b.sum()
