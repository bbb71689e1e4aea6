"""Detectors that restore or enclose images in pixel space, every one by products of matrices."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM

from semisynth.anomaly.detectors import Detector
from semisynth.anomaly.judged import Judged
from semisynth.data.pixels import flat


class PcaDetector(Detector):
    """What principal components leave unexplained: the mean squared error of an image's reconstruction."""

    def __init__(self, *, variance: float = 0.9, random_state: int = 0) -> None:
        """Keep as many components as explain `variance`, a share in (0, 1), of the fitted images' variance."""
        super().__init__(random_state=random_state)
        self.variance = variance

    def fit(self, normal: Judged) -> Self:
        """Find the components."""
        pca = PCA(n_components=self.variance, svd_solver="full").fit(normal.pixels)
        self.arrays = {
            "mean": pca.mean_.astype(np.float32),
            "components": pca.components_.astype(np.float32),
        }
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more, in squared pixels of the unit range; larger = more abnormal."""
        return np.asarray(np.square(judged.pixels - self.restored(judged)).mean(axis=1), np.float64)

    def restored(self, judged: Judged) -> NDArray[np.float32]:
        """The images as the components give them back: float32 (n, side * side), about [0, 1]."""
        mean, components = self._learnt("mean"), self._learnt("components")  # (pixels,), (q, pixels)
        return (judged.pixels - mean) @ components.T @ components + mean  # type: ignore[no-any-return]


class ReconstructionDetector(Detector):
    """The mean squared difference from the nearest of many images that the generator made.

    AnoGAN (Schlegl et al. 2017, arXiv 1703.05921) searches the most similar image's latent by gradient descent;
    here the search is over a fixed set of latents, which costs one product of matrices.
    """

    def __init__(self, generated: NDArray[np.uint8] | None = None, *, random_state: int = 0) -> None:
        """`generated` uint8 (m, side, side); without them nothing can be fitted."""
        super().__init__(random_state=random_state)
        self._generated = generated

    def fit(self, normal: Judged) -> Self:
        """Keep the generated images: what is normal is what the generator learnt of it."""
        if self._generated is None:
            raise ValueError("expected generated images, received none")
        self.arrays = {"generated": self._generated}
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more, in squared pixels of the unit range; larger = more abnormal."""
        bank = self._bank()
        products = judged.pixels @ bank.T  # (n, m)
        nearest = (np.einsum("mp,mp->m", bank, bank) / 2 - products).min(axis=1)
        own = np.einsum("np,np->n", judged.pixels, judged.pixels)
        return np.asarray(np.maximum(own + 2 * nearest, 0) / bank.shape[1], np.float64)

    def _bank(self) -> NDArray[np.float32]:
        """The generated images as float32 (m, side * side), unpacked once."""
        generated = self._learnt("generated")
        if getattr(self, "_unpacked_from", None) is not generated:
            self._unpacked, self._unpacked_from = flat(generated), generated
        return self._unpacked


class OneClassSvmDetector(Detector):
    """The distance outside of a surface around the normal images: Schölkopf et al. 2001.

    doi 10.1162/089976601750264965, with radial basis functions, approximated by Nyström's method (Williams and
    Seeger 2001) and fitted by stochastic gradient descent, so that it scales with the images.
    """

    def __init__(self, *, landmarks: int = 300, nu: float = 0.05, random_state: int = 0) -> None:
        """`nu`: the share of fitted images that may lie outside; `landmarks` images carry the kernel."""
        super().__init__(random_state=random_state)
        self.landmarks, self.nu = landmarks, nu

    def fit(self, normal: Judged) -> Self:
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
        squares = np.einsum("np,np->n", rows, rows)[:, None] + np.einsum("mp,mp->m", points, points)
        squares -= 2 * (rows @ points.T)  # (n, m)
        kernel = np.exp(-np.float32(self._learnt("gamma")) * np.maximum(squares, 0))
        return np.asarray(float(self._learnt("offset")) - kernel @ self._learnt("weights"), np.float64)
