"""Detectors in scikit-learn's form, but for the direction: here a LARGER score is MORE ABNORMAL.

`sklearn.ensemble.IsolationForest.score_samples` and the discriminator's logit run the other way, and are negated.
Scores of different detectors have different units: compare rankings, not values.
"""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from semisynth.data.pixels import flat


class Detector(Protocol):
    """Fitted on normal images, scores any images; no label is used."""

    def fit(self, images: NDArray[np.uint8]) -> Self:
        """Learn what is normal from images uint8 (n, side, side)."""

    def score_samples(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores float64 (n,) of images uint8 (n, side, side); larger = more abnormal."""


class IsolationForestDetector:
    """How few random cuts isolate an image's pixels: Liu et al. 2008, doi 10.1109/ICDM.2008.17; in (0, 1]."""

    def __init__(self, *, random_state: int) -> None:
        self._forest = IsolationForest(random_state=random_state)

    def fit(self, images: NDArray[np.uint8]) -> Self:
        """Grow the forest on images uint8 (n, side, side)."""
        self._forest.fit(flat(images))
        return self

    def score_samples(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores float64 (n,) in (0, 1]; larger = more abnormal."""
        return -np.asarray(self._forest.score_samples(flat(images)), np.float64)


class PcaDetector:
    """What principal components leave unexplained: the mean squared error of an image's reconstruction."""

    def __init__(self, *, variance: float = 0.9) -> None:
        """Keep as many components as explain `variance`, a share in (0, 1), of the fitted images' variance."""
        self._pca = PCA(n_components=variance, svd_solver="full")

    def fit(self, images: NDArray[np.uint8]) -> Self:
        """Find the components of images uint8 (n, side, side)."""
        self._pca.fit(flat(images))
        return self

    def score_samples(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more, in squared pixels of the unit range; larger = more abnormal."""
        rows = flat(images)
        restored = self._pca.inverse_transform(self._pca.transform(rows))
        return np.asarray(np.square(rows - restored).mean(axis=1), np.float64)


class Discriminator(Protocol):
    """The part of a synthesizer that tells real images from made ones."""

    def realness(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Give the logit float32 (n,) of images uint8 (n, side, side); larger = more like real ones."""


class DiscriminatorDetector:
    """Minus the logit by which a GAN's discriminator calls an image real.

    Expect little of it: training pushes what is generated onto the data, so the logit says little far from
    both (Ngo et al. 2019, "Fence GAN", arXiv 1904.01209).
    """

    def __init__(self, discriminator: Discriminator) -> None:
        self._discriminator = discriminator

    def fit(self, images: NDArray[np.uint8]) -> Self:
        """Return the detector as it is: the discriminator has been trained already."""
        return self

    def score_samples(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores float64 (n,) of any sign; larger = more abnormal."""
        return -self._discriminator.realness(images).astype(np.float64)
