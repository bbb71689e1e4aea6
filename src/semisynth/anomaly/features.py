"""Distances to the classes and to the nearest normal images, between a network's features, strokes or pixels."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from semisynth.anomaly.detectors import Detector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.products import squares
from semisynth.data.gradients import HISTOGRAM, gradient_histograms
from semisynth.data.pixels import halved

LEAST_IN_CLASS = 10  # fewer images give a class no covariance of its own
FEW_PASSES = 20  # neighbours, up to which one pass for each is faster than a partition
PRINCIPAL_OF = 5000  # images, at most, of which the principal directions are found


class MahalanobisDetector(Detector):
    """The least squared Mahalanobis distance to a class: Lee et al. 2018, arXiv 1807.03888.

    The classes are those that the discriminator finds likeliest, not labels; one class where it tells none. Each
    has a mean and a covariance, shrunk as in Ledoit and Wolf 2004, doi 10.1016/S0047-259X(03)00096-4.
    """

    layout: ClassVar = {"means": "float32 k features", "whitening": "float32 features k*features"}

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Find mean and precision of each class; a class of fewer than 10 images is left out."""
        points = self._points(normal)
        groups = [points[normal.likeliest == label] for label in range(max(1, normal.class_count))]
        groups = [rows for rows in groups if len(rows) >= LEAST_IN_CLASS] or [points]
        whitenings, means = [], []
        for rows in groups:
            precision = LedoitWolf().fit(rows.astype(np.float64)).precision_
            values, vectors = np.linalg.eigh(precision)
            whitening = vectors * np.sqrt(np.maximum(values, 0))  # precision = whitening @ whitening.T
            whitenings.append(whitening)
            means.append(rows.mean(axis=0, dtype=np.float64) @ whitening)
        self.arrays = {
            "whitening": np.concatenate(whitenings, axis=1).astype(np.float32),  # (d, k * d)
            "means": np.stack(means).astype(np.float32),  # (k, d), whitened
        }
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more; larger = more abnormal."""
        means = self._learnt("means")
        whitened = self._times(self._points(judged), "whitening").reshape(len(judged), *means.shape)  # (n, k, d)
        apart = whitened - means
        return np.asarray(np.einsum("nkd,nkd->nk", apart, apart).min(axis=1), np.float64)

    def _points(self, judged: Judged) -> NDArray[np.float32]:
        return judged.features


class StrokesDetector(MahalanobisDetector):
    """The same between histograms of oriented gradients: how strokes run, whatever a network learnt to overlook.

    Of the histograms, the principal directions through 0 are kept.
    """

    layout: ClassVar = {
        "directions": f"float32 {HISTOGRAM} q",
        "means": "float32 k q",
        "whitening": "float32 q k*q",
    }

    def __init__(self, *, directions: int = 128, random_state: int = 0) -> None:
        """Keep at most so many principal directions."""
        super().__init__(random_state=random_state)
        self.directions = directions

    def check(self, name: str, sizes: Mapping[str, int]) -> None:
        """As every detector; it needs a direction."""
        if self.directions < 1:
            raise ValueError(f"detector `{name}`: `directions` of 1 or more expected, received {self.directions}")
        super().check(name, sizes)

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Find the principal directions, then mean and precision of each class."""
        rows = _strokes(normal)
        some = np.random.default_rng(self.random_state).permutation(len(rows))[:PRINCIPAL_OF]
        found = np.linalg.svd(rows[some], full_matrices=False).Vh[: self.directions]
        directions = np.ascontiguousarray(found.T)  # (588, q)
        self.arrays = {"directions": directions}
        super().fit(normal)
        self.arrays = self.arrays | {"directions": directions}
        return self

    def _points(self, judged: Judged) -> NDArray[np.float32]:
        return self._times(_strokes(judged), "directions")


class NearestNeighboursDetector(Detector):
    """The distance to the k-th nearest of the normal images, between features of unit length.

    Sun et al. 2022, arXiv 2204.06507.
    """

    layout: ClassVar = {"references": "float32 m features", "chosen": "int64 m"}

    def __init__(self, *, neighbours: int = 5, references: int = 2000, random_state: int = 0) -> None:
        """Keep at most `references` of the fitted images, drawn by `random_state`."""
        super().__init__(random_state=random_state)
        self.neighbours, self.references = neighbours, references

    def check(self, name: str, sizes: Mapping[str, int]) -> None:
        """As every detector; it needs a neighbour."""
        if self.neighbours < 1:
            raise ValueError(f"detector `{name}`: `neighbours` of 1 or more expected, received {self.neighbours}")
        super().check(name, sizes)

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Keep the features of some of the images; `chosen` int64 (m,) says which."""
        chosen = np.random.default_rng(self.random_state).permutation(len(normal))[: self.references]
        self.arrays = {"references": _unit(self._points(normal.take(chosen))), "chosen": chosen}
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,) in [0, 2]; larger = more abnormal."""
        cosines = self._cosines(judged)  # (n, m)
        nearest = _kth_largest(cosines, min(self.neighbours, cosines.shape[1]))
        return np.sqrt(np.maximum(2 - 2 * nearest.astype(np.float64), 0))

    def nearest(self, judged: Judged) -> NDArray[np.int64]:
        """Which of the kept images is nearest, int64 (n,), in the order of `chosen`."""
        return np.asarray(self._cosines(judged).argmax(axis=1), np.int64)

    def _cosines(self, judged: Judged) -> NDArray[np.float32]:
        return self._times(_unit(self._points(judged)), "references", turned=True)

    def _points(self, judged: Judged) -> NDArray[np.float32]:
        return judged.features


class PixelNeighboursDetector(NearestNeighboursDetector):
    """The same between means of 2 × 2 pixels, the background at 0: it sees what a network learnt to overlook."""

    layout: ClassVar = {"references": "float32 m halved", "chosen": "int64 m"}

    def _points(self, judged: Judged) -> NDArray[np.float32]:
        return halved(judged.images).reshape(len(judged), -1)


def _kth_largest(rows: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """The k-th largest number of each row: for a small k, k passes take a tenth of a partition's time."""
    if k > FEW_PASSES:
        return np.asarray(np.partition(rows, -k, axis=1)[:, -k], np.float32)
    left, each = rows.copy(), np.arange(len(rows))
    for _ in range(k - 1):
        left[each, left.argmax(axis=1)] = -np.inf
    return np.asarray(left.max(axis=1), np.float32)


def _strokes(judged: Judged) -> NDArray[np.float32]:
    return _unit(gradient_histograms(judged.images))


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.sqrt(squares(features))[:, None]
    return np.asarray(features / np.maximum(length, np.float32(1e-12)), np.float32)
