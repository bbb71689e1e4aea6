"""How far images are from each other where every pixel may move a little: the image distortion model.

Keysers, Deselaers, Gollan and Ney, "Deformation models for image recognition" (IEEE TPAMI 29(8), 2007): each pixel
is compared with those about its place in the other image, by the slopes of its surroundings, and the best match
counts. What a hand varies from one writing to the next costs little so, and another shape much.
"""

from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.pixels import halved, to_unit
from semisynth.training.progress import track
from semisynth.training.side_by_side import side_by_side

REACH = 2 / 28  # of the side: how far a pixel may move along each axis, and one pixel at least
LARGEST = 32  # side; larger images are halved first, as the work grows with the fourth power of the side
_PAIRS = 400  # at a time
_FRAME = [(0, 0), (0, 0), (1, 1), (1, 1)]  # a pixel of background around each image


def deformed_distances(images: NDArray[np.uint8], others: NDArray[np.integer]) -> NDArray[np.float32]:
    """Distances float32 (n, k) of each of `images` uint8 (n, side, side) from `others`, rows (n, k) of them.

    The sum over an image's pixels of the squared difference of slopes, of grey levels in [0, 1] a pixel, summed
    over 3 x 3 pixels, from the place near the same one in the other image where it is least. 0 between equal
    images, about 0 between images that are shifted a little. Not symmetric: each pixel of the image is explained,
    not each of the other one.
    """
    count, wanted = others.shape
    at_a_time = max(1, _PAIRS // wanted)

    def compared(start: int) -> NDArray[np.float32]:
        some = np.arange(start, start + at_a_time) % count  # the first fill up the last batch: one shape for all
        return _compared(images[some], images[others[some]])[: count - start]

    tasks = {str(start): partial(compared, start) for start in range(0, count, at_a_time)}
    parts = dict(track(side_by_side(tasks), "neighbours, batches", len(tasks)))
    return np.concatenate([parts[start] for start in tasks])


def _compared(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of images (b, side, side) from others (b, k, side, side): (b, k)."""
    levels = [tf.constant(_grey_levels(part)) for part in (images[:, np.newaxis], others)]
    reach = max(1, round(REACH * levels[0].shape[2]))
    with tf.device("CPU"):  # a GPU's compiler may be missing; the processor's comes with TensorFlow
        return np.asarray(_compiled(reach)(*levels))


@cache
def _compiled(reach: int) -> Any:
    """By XLA, which makes one loop of many operations that would each write all pixels to memory."""
    return tf.function(partial(_distances, reach=reach), jit_compile=True)


def _grey_levels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of images (b, k, side, side) in [0, 1], large ones halved."""
    every = images.reshape(-1, *images.shape[2:])
    levels = to_unit(every) if images.shape[2] <= LARGEST else halved(every)
    return levels.reshape(*images.shape[:2], *levels.shape[1:])


def _distances(images: tf.Tensor, others: tf.Tensor, *, reach: int) -> tf.Tensor:
    """Of images (b, 1, side, side) from others (b, k, side, side): (b, k)."""
    side, slopes = images.shape[2], _slopes(images)
    around = tf.pad(_slopes(others), [(0, 0)] * 3 + [(reach, reach)] * 2)
    moves = range(2 * reach + 1)
    least = tf.fill(tf.shape(others), np.float32(np.inf))
    for down, right in product(moves, moves):
        there = around[..., down : down + side, right : right + side]
        least = tf.minimum(least, _summed_around(tf.reduce_sum(tf.square(slopes - there), 0)))
    return tf.reduce_sum(least, [2, 3])


def _slopes(images: tf.Tensor) -> tf.Tensor:
    """Of images (b, k, side, side), down and to the right (2, b, k, side, side): Sobel's operator."""
    framed = tf.pad(images, _FRAME)
    down, right = framed[..., 2:, :] - framed[..., :-2, :], framed[..., 2:] - framed[..., :-2]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    right = right[..., :-2, :] + 2 * right[..., 1:-1, :] + right[..., 2:, :]
    return tf.stack([down, right]) / 8


def _summed_around(values: tf.Tensor) -> tf.Tensor:
    """Sums (b, k, side, side) over the 3 x 3 values around each; there are none outside."""
    framed = tf.pad(values, _FRAME)
    rows = framed[..., :-2, :] + framed[..., 1:-1, :] + framed[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
