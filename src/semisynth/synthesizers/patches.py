"""Images as sequences of tokens: square patches, row by row, each replaced by the nearest of a few centres."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin

from semisynth.networks.lstm import patch_count

LEARNT_FROM = 50_000  # patches at most


@dataclass(frozen=True)
class Codebook:
    """The centres float32 (codes, patch * patch) that patches are quantised to, in pixels from 0 to 255."""

    centres: NDArray[np.float32]

    @property
    def patch(self) -> int:
        """The side of a patch, in pixels."""
        return math.isqrt(self.centres.shape[1])

    def tokens(self, images: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The nearest centre to each patch of images (n, side, side): int32 (n, patches).

        SemisynthError where patches don't fill the images.
        """
        patches = _patches(images, self.patch)
        count = patch_count(images.shape[1], self.patch)
        nearest = pairwise_distances_argmin(patches.astype(np.float32), self.centres)
        return nearest.reshape(-1, count).astype(np.int32)  # type: ignore[no-any-return]

    def images(self, tokens: NDArray[np.int32]) -> NDArray[np.uint8]:
        """The images uint8 (n, side, side) that centres in the place of tokens (n, patches) make."""
        rows, patch = math.isqrt(tokens.shape[1]), self.patch
        pixels = np.rint(np.clip(self.centres, 0, 255)).astype(np.uint8)[tokens]  # (n, patches, patch²)
        grid = pixels.reshape(-1, rows, rows, patch, patch).swapaxes(2, 3)
        return np.ascontiguousarray(grid.reshape(-1, rows * patch, rows * patch))


def fit_codebook(images: NDArray[np.uint8], *, codes: int, patch: int, seed: int) -> Codebook:
    """Find at most `codes` centres of the patches of images (n, side, side), by k-means in small batches.

    (Sculley 2010, doi 10.1145/1772690.1772862.) Where there are no more different patches than `codes`, they are
    the centres. SemisynthError where patches don't fill the images.
    """
    patches = _patches(images, patch)
    random = np.random.default_rng([seed, 2])
    if len(patches) > LEARNT_FROM:
        patches = patches[random.choice(len(patches), LEARNT_FROM, replace=False)]
    different = np.unique(patches, axis=0)
    if len(different) <= codes:
        return Codebook(different.astype(np.float32))
    # The inertia, a sum over threads in any order, must decide nothing: one start, no early end.
    machine = MiniBatchKMeans(codes, n_init=1, tol=0.0, max_no_improvement=None, max_iter=10, random_state=seed)
    return Codebook(machine.fit(patches.astype(np.float32)).cluster_centers_.astype(np.float32))


def _patches(images: NDArray[np.uint8], patch: int) -> NDArray[np.uint8]:
    """The patches of all images, row by row: uint8 (n * patches, patch * patch)."""
    side = images.shape[1]
    patch_count(side, patch)
    rows = side // patch
    grid = images.reshape(-1, rows, patch, rows, patch).swapaxes(2, 3)
    return grid.reshape(-1, patch * patch)


def unigram_entropy(tokens: NDArray[np.int32]) -> float:
    """Entropy in bits of a token drawn from `tokens` of any shape: what a model of frequencies alone needs."""
    shares = np.bincount(tokens.ravel()) / tokens.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
