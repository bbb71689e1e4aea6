"""Classical augmentation: random affine maps and elastic distortions.

Elastic distortions follow Simard, Steinkraus and Platt, "Best practices for convolutional neural networks
applied to visual document analysis" (ICDAR 2003): uniform noise, smoothed by a Gaussian, displaces each pixel.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

ROTATION = math.radians(15)
SCALE = 0.12  # of each axis, about 1
SHEAR = 0.2  # pixels across for each pixel down
SHIFT = 2 / 28  # of the side
ELASTIC_SMOOTHNESS = 4 / 28  # of the side: the Gaussian's standard deviation, as in the paper
ELASTIC_DISPLACEMENT = 1 / 28  # of the side: the displacement's standard deviation along each axis

_CHUNK = 256  # images at a time: their coordinates stay in the processor's cache
_TRANSFORM, _COPIES = 41, 42  # tell this module's random streams from others of the same seed


def transform(images: NDArray[np.uint8], *, seed: int, stream: int = 0) -> NDArray[np.uint8]:
    """Each of `images` uint8 (n, side, side) under an affine map and an elastic distortion of its own.

    Bilinear interpolation; what comes in from outside the frame is background (0). Another `stream` of the same
    seed has maps of its own.
    """
    rng = np.random.default_rng([seed, _TRANSFORM, stream])
    result = np.empty_like(images)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK]
        rows, columns = _sampling_points(len(part), images.shape[1], rng)
        result[start : start + _CHUNK] = _bilinear(part, rows, columns)
    return result


def transformed_copies(
    images: NDArray[np.uint8], labels: NDArray[np.int64], count: int, *, seed: int, stream: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` transformed images and their labels, from `images` uint8 (n, side, side) and `labels` int64 (n,).

    Classes that occur share `count` as evenly as possible, and so do the images within a class. `stream`: see
    `transform`.
    """
    sources = sources_of_copies(labels, count, seed=seed, stream=stream)
    return transform(images[sources], seed=seed, stream=stream), labels[sources]


def sources_of_copies(labels: NDArray[np.int64], count: int, *, seed: int, stream: int = 0) -> NDArray[np.int64]:
    """Indices int64 (count,) of the images to copy, in the shares that `transformed_copies` tells.

    `stream`: see `transform`.
    """
    rng = np.random.default_rng([seed, _COPIES, stream])
    present = np.unique(labels)
    shares = [len(part) for part in np.array_split(np.arange(count), len(present))]
    return np.concatenate(
        [
            np.resize(rng.permutation(np.flatnonzero(labels == label)), share)
            for label, share in zip(present, shares, strict=True)
        ]
    )


def _sampling_points(
    count: int, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Row and column, each (count, side, side), of the source point for every pixel of the result."""
    grid = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    down, across = grid[:, np.newaxis], grid[np.newaxis, :]
    maps = _affine_maps(count, rng)[..., np.newaxis, np.newaxis]  # (count, 2, 2, 1, 1)
    shifts = rng.uniform(-SHIFT * side, SHIFT * side, (count, 2, 1, 1)).astype(np.float32)
    points = maps[:, :, 0] * down + maps[:, :, 1] * across  # (count, 2, side, side)
    points += shifts + np.float32((side - 1) / 2) + _displacements(count, side, rng)
    return points[:, 0], points[:, 1]


def _affine_maps(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Rotation after shear after scaling, (count, 2, 2), on (row, column) from the centre."""
    angle = rng.uniform(-ROTATION, ROTATION, count)
    shear = rng.uniform(-SHEAR, SHEAR, count)
    tall, wide = rng.uniform(1 - SCALE, 1 + SCALE, (2, count))
    cosine, sine = np.cos(angle), np.sin(angle)
    first = np.stack([tall * (cosine - shear * sine), -wide * sine], axis=-1)
    second = np.stack([tall * (sine + shear * cosine), wide * cosine], axis=-1)
    return np.stack([first, second], axis=1).astype(np.float32)


def _displacements(count: int, side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth random displacements in pixels, (count, 2, side, side)."""
    sigma = ELASTIC_SMOOTHNESS * side
    noise = rng.random((count, 2, side, side), dtype=np.float32) * np.float32(2) - np.float32(1)
    smooth = gaussian_filter(noise, (0, 0, sigma, sigma), mode="constant", truncate=3)
    # A Gaussian of width sigma shrinks the deviation of white noise, sqrt(1/3) here, by 2 sqrt(pi) sigma.
    gain = ELASTIC_DISPLACEMENT * side * math.sqrt(3) * 2 * math.sqrt(math.pi) * sigma
    return np.asarray(smooth * np.float32(gain))


def _bilinear(
    images: NDArray[np.uint8], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """`images` (n, side, side) read at `rows` and `columns`, each (n, side, side); 0 outside the frame."""
    count, side, _ = images.shape
    wide = side + 3  # a background pixel before, two behind: every neighbour of a clipped point exists
    padded = np.pad(images, ((0, 0), (1, 2), (1, 2))).astype(np.float32).reshape(-1)
    rows, columns = np.clip(rows, -1, side) + 1, np.clip(columns, -1, side) + 1
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    down, across = rows - top, columns - left
    corner = np.arange(count, dtype=np.int32)[:, np.newaxis, np.newaxis] * wide * wide + top * wide + left
    above = padded[corner] * (1 - across) + padded[corner + 1] * across
    below = padded[corner + wide] * (1 - across) + padded[corner + wide + 1] * across
    return np.asarray(np.rint(above * (1 - down) + below * down), np.uint8)
