"""Histograms of oriented gradients: how the strokes of an image run, cell by cell.

After Dalal and Triggs, "Histograms of oriented gradients for human detection" (CVPR 2005), with blurred cells in
place of their blocks: images here are small, centred and evenly lit.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from semisynth.data.pixels import to_unit

DIRECTIONS = 12  # the whole circle: the two edges of a stroke differ
CELLS = 7  # in each of the two dimensions
HISTOGRAM = CELLS * CELLS * DIRECTIONS  # numbers an image
SMOOTHING = 0.5 / 28  # of the side: the Gaussian's standard deviation, before pixels are compared
SPREAD = 1.5 / 28  # of the side: that of a cell's weights
NEGLIGIBLE = 1e-5  # steps between pixels that are far below one of 255 grey levels are rounding errors
_BLOCK = 2 * 2**20  # bytes of the largest array, about: images at a time


def gradient_histograms(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features float32 (n, 588) of images uint8 (n, side, side) with a side of 2 or more.

    The square root of each direction's mean strength about the middle of each of 7 x 7 cells, row by row; a
    direction between two of the twelve goes to both. An even image has zeros.
    """
    side = images.shape[1]
    smooth = gaussian_filter1d(np.eye(side), SMOOTHING * side, axis=0)
    maps = [matrix.astype(np.float32) for matrix in (smooth, np.gradient(smooth, axis=0), _weights_of_cells(side))]
    step = max(1, _BLOCK // (4 * DIRECTIONS * side * side))
    blocks = [_histograms(images[start : start + step], *maps) for start in range(0, len(images), step)]
    return np.concatenate([np.empty((0, HISTOGRAM), np.float32), *blocks])


def _histograms(
    images: NDArray[np.uint8],
    smooth: NDArray[np.float32],
    slope: NDArray[np.float32],
    cells: NDArray[np.float32],
) -> NDArray[np.float32]:
    """`smooth` and `slope` (side, side), and `cells` (7, side), are factors of columns of pixels.

    Products are of one image each: for large ones, BLAS starts threads that compete with the network's.
    """
    count, side = images.shape[:2]
    pixels = to_unit(images)
    down = (slope @ (pixels @ smooth.T)).reshape(count, -1)
    right = (smooth @ (pixels @ slope.T)).reshape(count, -1)
    strength = np.sqrt(down**2 + right**2)
    strength[strength < NEGLIGIBLE] = 0
    angle = np.arctan2(down, right) * np.float32(DIRECTIONS / (2 * np.pi))
    angle += np.float32(DIRECTIONS) * (angle < 0)  # in bins, 0 to 12, both included
    lower = np.floor(angle)
    upper_share = strength * (angle - lower)
    places = _places(count, side * side) + lower.astype(np.int64) * (side * side)
    turned = np.zeros((count, DIRECTIONS + 2, side, side), np.float32)  # the last two bins are the first two
    turned.reshape(-1)[places] = strength - upper_share
    turned.reshape(-1)[places + side * side] = upper_share
    turned[:, :2] += turned[:, DIRECTIONS:]
    of_cells = (cells @ (turned @ cells.T))[:, :DIRECTIONS].reshape(count, DIRECTIONS, -1)
    return np.asarray(np.sqrt(of_cells.swapaxes(1, 2)).reshape(count, -1), np.float32)


def _places(count: int, pixels: int) -> NDArray[np.int64]:
    """Where the first bin of each pixel stands (n, pixels) in the flat array of all images' bins."""
    return np.arange(count)[:, np.newaxis] * ((DIRECTIONS + 2) * pixels) + np.arange(pixels)


def _weights_of_cells(side: int) -> NDArray[np.float64]:
    """Weights (cells, side) of rows (and of columns): a Gaussian about each cell's middle, of sum 1."""
    middles = (np.arange(CELLS) + 0.5) * side / CELLS - 0.5
    away = (middles[:, np.newaxis] - np.arange(side)) / (SPREAD * side)
    weights = np.exp(-(away**2) / 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)
