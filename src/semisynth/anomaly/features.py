"""Distances to the classes and to the nearest normal images, between a network's features, strokes or pixels."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf

from semisynth.anomaly.detectors import Arrays, Detector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.products import squares
from semisynth.data.gradients import HISTOGRAM, gradient_histograms
from semisynth.data.pixels import halved

LEAST_IN_CLASS = 10  # fewer images give a class, or a cluster, no covariance of its own
LEAST_IN_CLUSTER = 100  # images on the mean, for a class to be parted
CHOICES = 3  # of first means, of which k-means keeps the best
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
        found = _fitted([part for rows in groups for part in self._parts(rows)])
        self.arrays = {name: array for name, array in found.items() if name in self.layout}
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more; larger = more abnormal."""
        return np.asarray(self._distances(judged).min(axis=1), np.float64)

    def _distances(self, judged: Judged) -> NDArray[np.float32]:
        """Squared distances (n, k)."""
        means = self._learnt("means")
        whitened = self._times(self._points(judged), "whitening").reshape(len(judged), *means.shape)  # (n, k, d)
        apart = whitened - means
        return np.asarray(np.einsum("nkd,nkd->nk", apart, apart), np.float32)

    def _parts(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """What of a class has a mean and a covariance each."""
        return [rows]

    def _points(self, judged: Judged) -> NDArray[np.float32]:
        return judged.features


class StrokesDetector(MahalanobisDetector):
    """How unlikely the run of an image's strokes is: it sees what a network learnt to overlook.

    Of histograms of oriented gradients, the principal directions through 0 are kept. In these a class is a mixture
    of Gaussians, one for each of the clusters that k-means finds, as there are several ways to write a digit. The
    score is minus twice the log-density of the likeliest one, up to a constant: the squared distance, and the
    logarithm of the covariance's determinant, by which a wide one admits less than its distance says (Bishop 2006,
    "Pattern Recognition and Machine Learning", 9.2).
    """

    layout: ClassVar = {
        "directions": f"float32 {HISTOGRAM} q",
        "means": "float32 k q",
        "whitening": "float32 q k*q",
        "spreads": "float32 k",
    }

    def __init__(self, *, directions: int = 128, clusters: int = 2, random_state: int = 0) -> None:
        """Keep at most so many principal directions, and look for so many clusters in each class."""
        super().__init__(random_state=random_state)
        self.directions, self.clusters = directions, clusters

    def check(self, name: str, sizes: Mapping[str, int]) -> None:
        """As every detector; it needs a direction and a cluster."""
        for key, value in (("directions", self.directions), ("clusters", self.clusters)):
            if value < 1:
                raise ValueError(f"detector `{name}`: `{key}` of 1 or more expected, received {value}")
        super().check(name, sizes)

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Find the principal directions, then mean and precision of each cluster."""
        rows = self._strokes(normal)
        some = np.random.default_rng(self.random_state).permutation(len(rows))[:PRINCIPAL_OF]
        found = np.linalg.svd(rows[some], full_matrices=False).Vh[: self.directions]
        directions = np.ascontiguousarray(found.T)  # (588, q)
        self.arrays = {"directions": directions}
        super().fit(normal)
        self.arrays = self.arrays | {"directions": directions}
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,) of any sign; larger = more abnormal."""
        return (self._distances(judged).astype(np.float64) + self._learnt("spreads")).min(axis=1)  # type: ignore[no-any-return]

    def _points(self, judged: Judged) -> NDArray[np.float32]:
        return self._times(self._strokes(judged), "directions")

    @staticmethod
    def _strokes(judged: Judged) -> NDArray[np.float32]:
        """The histograms (n, 588), of unit length."""
        return _unit(gradient_histograms(judged.images))

    def _parts(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The clusters of a class; all of it where it has few images, or a cluster would."""
        wanted = min(self.clusters, len(rows) // LEAST_IN_CLUSTER)
        if wanted < 2:
            return [rows]
        means = KMeans(wanted, n_init=CHOICES, random_state=self.random_state).fit(rows.astype(np.float64))
        parts = [rows[means.labels_ == number] for number in range(wanted)]
        return parts if min(map(len, parts)) >= LEAST_IN_CLASS else [rows]


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


def _fitted(groups: Sequence[NDArray[np.float32]]) -> Arrays:
    """Mean and precision of each of k groups of points (n, d), and the spread: the covariance's log-determinant.

    Directions in which a group has no variance count for nothing.
    """
    whitenings, means, spreads = [], [], []
    for rows in groups:
        precision = LedoitWolf().fit(rows.astype(np.float64)).precision_
        values, vectors = np.linalg.eigh(precision)
        whitening = vectors * np.sqrt(np.maximum(values, 0))  # precision = whitening @ whitening.T
        whitenings.append(whitening)
        means.append(rows.mean(axis=0, dtype=np.float64) @ whitening)
        spreads.append(-np.log(values[values > values.max() * len(values) * np.finfo(float).eps]).sum())
    return {
        "whitening": np.concatenate(whitenings, axis=1).astype(np.float32),  # (d, k * d)
        "means": np.stack(means).astype(np.float32),  # (k, d), whitened
        "spreads": np.array(spreads, np.float32),  # (k,)
    }


def _kth_largest(rows: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """The k-th largest number of each row: for a small k, k passes take a tenth of a partition's time."""
    if k > FEW_PASSES:
        return np.asarray(np.partition(rows, -k, axis=1)[:, -k], np.float32)
    left, each = rows.copy(), np.arange(len(rows))
    for _ in range(k - 1):
        left[each, left.argmax(axis=1)] = -np.inf
    return np.asarray(left.max(axis=1), np.float32)


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.sqrt(squares(features))[:, None]
    return np.asarray(features / np.maximum(length, np.float32(1e-12)), np.float32)
