"""Random affine maps, elastic distortions and stroke widths for a batch, inside TensorFlow's graph.

For losses that compare two views of one image, at a fresh view each step. The elastic part displaces pixels by
a smooth random field, as Simard, Steinkraus and Platt (ICDAR 2003) do; strokes widen towards each pixel's
largest neighbour, and thin towards its least (grey-scale dilation and erosion).
"""

import math
from functools import cache

import numpy as np
import tensorflow as tf

ROTATION = math.radians(15)
SHEAR = 0.25  # pixels across for each pixel down
SCALE = 0.15  # of each axis, about 1
SHIFT = 2 / 28  # of the side
ELASTIC = 1 / 28  # of the side: the displacement's standard deviation along each axis
KNOTS = 7  # of the elastic field, along each axis
STROKE = 0.6  # of the way to the largest or least neighbour, at most


def distort(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Each of `images` float32 (b, side, side, 1) in [-1, 1] under a random map of its own, of the same shape.

    What comes in from outside the frame is background (-1). Equal keys int32 (2,) give equal maps.
    """
    count, side = tf.shape(images)[0], images.shape[1]
    keys = tf.random.split(key, 3)
    rows, columns = _points(count, side, keys)
    moved = _bilinear((images + 1) / 2, rows, columns)
    amount = tf.random.stateless_uniform((count, 1, 1, 1), keys[2], -STROKE, STROKE)
    largest = tf.nn.max_pool2d(moved, 3, 1, "SAME")
    least = -tf.nn.max_pool2d(-moved, 3, 1, "SAME")
    widened = moved + tf.nn.relu(amount) * (largest - moved) + tf.nn.relu(-amount) * (least - moved)
    return 2 * widened - 1


def _points(count: tf.Tensor, side: int, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Row and column, each (count, side²), of the source point for every pixel of the result."""
    middle = (side - 1) / 2
    grid = np.arange(side, dtype=np.float32) - np.float32(middle)
    down, across = np.repeat(grid, side), np.tile(grid, side)  # (side²,)
    drawn = tf.random.stateless_uniform((6, count, 1), keys[0], -1, 1)
    angle, shear = drawn[0] * ROTATION, drawn[1] * SHEAR
    tall, wide = 1 + drawn[2] * SCALE, 1 + drawn[3] * SCALE
    cosine, sine = tf.cos(angle), tf.sin(angle)
    field = tf.random.stateless_normal((2 * count, KNOTS * KNOTS), keys[1], stddev=ELASTIC * side)
    displaced = tf.matmul(field, tf.constant(_spread(side)))  # (2 count, side²)
    rows = tall * (cosine - shear * sine) * down - wide * sine * across + drawn[4] * SHIFT * side
    columns = tall * (sine + shear * cosine) * down + wide * cosine * across + drawn[5] * SHIFT * side
    return rows + middle + displaced[:count], columns + middle + displaced[count:]


@cache
def _spread(side: int) -> np.ndarray:
    """Gaussian bumps at the knots, (KNOTS², side²), scaled so that white noise of deviation 1 keeps it."""
    knots, pixels = np.linspace(0, side - 1, KNOTS), np.arange(side)
    width = 0.6 * (side - 1) / (KNOTS - 1)
    bumps = np.exp(-(((pixels[:, np.newaxis] - knots) / width) ** 2) / 2)  # (side, KNOTS)
    both = np.einsum("ik,jl->klij", bumps, bumps).reshape(KNOTS * KNOTS, side * side)
    return np.asarray(both / np.sqrt(np.square(both).sum(axis=0)), np.float32)


def _bilinear(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """`images` (b, side, side, 1) in [0, 1] read at `rows` and `columns`, each (b, side²); 0 outside the frame."""
    count, side = tf.shape(images)[0], images.shape[1]
    wide = side + 3  # a background pixel before, two behind: every neighbour of a clipped point exists
    flat = tf.reshape(tf.pad(images, [(0, 0), (1, 2), (1, 2), (0, 0)]), [-1])
    rows = tf.clip_by_value(rows, -1.0, float(side)) + 1
    columns = tf.clip_by_value(columns, -1.0, float(side)) + 1
    top, left = tf.floor(rows), tf.floor(columns)
    down, across = rows - top, columns - left
    first = tf.cast(top, tf.int32) * wide + tf.cast(left, tf.int32) + tf.range(count)[:, tf.newaxis] * wide * wide
    above = tf.gather(flat, first) * (1 - across) + tf.gather(flat, first + 1) * across
    below = tf.gather(flat, first + wide) * (1 - across) + tf.gather(flat, first + wide + 1) * across
    return tf.reshape(above * (1 - down) + below * down, [count, side, side, 1])
