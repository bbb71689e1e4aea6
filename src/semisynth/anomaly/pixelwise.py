"""Detectors that restore or enclose images in pixel space, every one by products of matrices."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM

from semisynth.anomaly.detectors import Detector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.products import squares
from semisynth.data.pixels import flat


class PcaDetector(Detector):
    """What principal components leave unexplained: the mean squared error of an image's reconstruction."""

    layout: ClassVar = {"mean": "float32 pixels", "components": "float32 q pixels"}

    def __init__(self, *, variance: float = 0.9, random_state: int = 0) -> None:
        """Keep as many components as explain `variance`, a share in (0, 1), of the fitted images' variance."""
        super().__init__(random_state=random_state)
        self.variance = variance

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Find the components."""
        pca = PCA(n_components=self.variance, svd_solver="full").fit(normal.pixels)
        self.arrays = {
            "mean": pca.mean_.astype(np.float32),
            "components": pca.components_.astype(np.float32),
        }
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more, in squared pixels of the unit range; larger = more abnormal."""
        centred = judged.pixels - self._learnt("mean")
        # The components are orthonormal: what they restore is as long as its coordinates.
        explained = squares(self._times(centred, "components", turned=True))
        return np.asarray(np.maximum(squares(centred) - explained, 0) / centred.shape[1], np.float64)

    def restored(self, judged: Judged) -> NDArray[np.float32]:
        """The images as the components give them back: float32 (n, side * side), about [0, 1]."""
        mean = self._learnt("mean")
        coordinates = self._times(judged.pixels - mean, "components", turned=True)  # (n, q)
        return np.asarray(self._times(coordinates, "components") + mean, np.float32)


class ReconstructionDetector(Detector):
    """The mean squared difference from the nearest of many images that the generator made.

    AnoGAN (Schlegl et al. 2017, arXiv 1703.05921) searches the most similar image's latent by gradient descent;
    here the search is over a fixed set of latents, which costs one product of matrices.
    """

    layout: ClassVar = {"generated": "float32 m pixels", "half_squares": "float32 m"}

    def __init__(self, generated: NDArray[np.uint8] | None = None, *, random_state: int = 0) -> None:
        """`generated` uint8 (m, side, side); without them nothing can be fitted."""
        super().__init__(random_state=random_state)
        self.generated = generated

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Keep the generated images: what is normal is what the generator learnt of it."""
        if self.generated is None:
            raise ValueError("expected generated images, received none")
        rows = flat(self.generated)
        self.arrays = {"generated": rows, "half_squares": squares(rows) / 2}
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more, in squared pixels of the unit range; larger = more abnormal."""
        similar = self._times(judged.pixels, "generated", turned=True) - self._learnt("half_squares")  # (n, m)
        nearest = squares(judged.pixels) - 2 * similar.max(axis=1)
        return np.asarray(np.maximum(nearest, 0) / judged.pixels.shape[1], np.float64)


class OneClassSvmDetector(Detector):
    """The distance outside of a surface around the normal images: Schölkopf et al. 2001.

    doi 10.1162/089976601750264965, with radial basis functions, approximated by Nyström's method (Williams and
    Seeger 2001) and fitted by stochastic gradient descent, so that it scales with the images.
    """

    layout: ClassVar = {
        "landmarks": "float32 m pixels",
        "weights": "float32 m",
        "offset": "float64",
        "gamma": "float64",
    }

    def __init__(self, *, landmarks: int = 300, nu: float = 0.05, random_state: int = 0) -> None:
        """`nu`: the share of fitted images that may lie outside; `landmarks` images carry the kernel."""
        super().__init__(random_state=random_state)
        self.landmarks, self.nu = landmarks, nu

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Fit the surface."""
        gamma = 1 / (normal.pixels.shape[1] * max(float(normal.pixels.var()), 1e-9))
        count = min(self.landmarks, len(normal))
        kernel = Nystroem(gamma=gamma, n_components=count, random_state=self.random_state).fit(normal.pixels)
        machine = SGDOneClassSVM(nu=self.nu, random_state=self.random_state).fit(kernel.transform(normal.pixels))
        self.arrays = {
            "landmarks": kernel.components_.astype(np.float32),  # (m, pixels)
            "weights": (kernel.normalization_.T @ machine.coef_).astype(np.float32),  # (m,)
            "offset": np.asarray(machine.offset_, np.float64).reshape(()),
            "gamma": np.array(gamma, np.float64),
        }
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,) of any sign, 0 on the surface; larger = more abnormal."""
        points, rows = self._learnt("landmarks"), judged.pixels
        distances = squares(rows)[:, None] + squares(points)  # (n, m), squared
        distances -= 2 * self._times(rows, "landmarks", turned=True)
        kernel = np.exp(-np.float32(self._learnt("gamma")) * np.maximum(distances, 0))
        return np.asarray(float(self._learnt("offset")) - kernel @ self._learnt("weights"), np.float64)
