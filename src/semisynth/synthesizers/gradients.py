"""Histograms of oriented gradients: how the strokes of an image run, cell by cell.

After Dalal and Triggs, "Histograms of oriented gradients for human detection" (CVPR 2005), with blurred cells in
place of their blocks: images here are small, centred and evenly lit.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

DIRECTIONS = 12  # the whole circle: the two edges of a stroke differ
CELLS = 7  # in each of the two dimensions
SMOOTHING = 0.5 / 28  # of the side: the Gaussian's standard deviation, before pixels are compared
SPREAD = 1.5 / 28  # of the side: that of a cell's weights
_BLOCK = 32 * 2**20  # bytes of one array, about: images at a time


def gradient_histograms(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features float32 (n, 588) of images uint8 (n, side, side): of 7 x 7 cells, 12 directions each.

    The square root of each direction's mean strength about the middle of a cell; a direction between two goes to
    both. An even image has zeros.
    """
    side = images.shape[1]
    cells = _weights_of_cells(side)
    step = max(1, _BLOCK // (4 * DIRECTIONS * side * side))
    blocks = [_histograms(images[start : start + step], cells) for start in range(0, len(images), step)]
    return np.concatenate([np.empty((0, CELLS * CELLS * DIRECTIONS), np.float32), *blocks])


def _histograms(images: NDArray[np.uint8], cells: NDArray[np.float32]) -> NDArray[np.float32]:
    width = SMOOTHING * images.shape[1]
    smooth = gaussian_filter(images, (0, width, width), output=np.float32) / np.float32(255)
    down, right = np.gradient(smooth, axis=(1, 2))
    strength = np.hypot(down, right)
    angle = np.arctan2(down, right) * np.float32(DIRECTIONS / (2 * np.pi))  # in bins, -6 to 6
    lower = np.floor(angle)
    upper_share = strength * (angle - lower)
    lower_share = strength - upper_share
    lower_bin = lower.astype(np.int8) % DIRECTIONS
    upper_bin = (lower_bin + 1) % DIRECTIONS
    found = np.empty((len(images), CELLS, CELLS, DIRECTIONS), np.float32)
    for direction in range(DIRECTIONS):
        own = lower_share * (lower_bin == direction) + upper_share * (upper_bin == direction)
        found[..., direction] = cells @ own @ cells.T
    return np.sqrt(found).reshape(len(images), -1)


def _weights_of_cells(side: int) -> NDArray[np.float32]:
    """Weights float32 (cells, side) of rows (and of columns): a Gaussian about each cell's middle, of sum 1."""
    middles = (np.arange(CELLS) + 0.5) * side / CELLS - 0.5
    away = (middles[:, np.newaxis] - np.arange(side)) / (SPREAD * side)
    weights = np.exp(-(away**2) / 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
