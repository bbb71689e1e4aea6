"""Products of matrices in TensorFlow, which the network's own threads compute: NumPy's would compete with them."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def factor(matrix: NDArray[np.float32]) -> tf.Tensor:
    """`matrix` float32 (d, m) as the right factor of many products: copied, and laid out row by row, only once."""
    return tf.constant(np.ascontiguousarray(matrix))


def product(left: NDArray[np.float32], right: tf.Tensor) -> NDArray[np.float32]:
    """`left` float32 (n, d) times the factor `right` (d, m): read-only, since it is TensorFlow's own memory."""
    return np.asarray(tf.linalg.matmul(left, right))


def squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The squared length of each row: float32 (n,)."""
    return np.asarray(np.einsum("nd,nd->n", rows, rows), np.float32)
