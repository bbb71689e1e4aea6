"""Products of matrices in TensorFlow, which the network's own threads compute: NumPy's would compete with them."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def product(left: NDArray[np.float32], right: NDArray[np.float32], *, turned: bool = False) -> NDArray[np.float32]:
    """`left` float32 (n, d) times `right` (d, m), or with `turned` times the transpose of `right` (m, d)."""
    return np.array(tf.linalg.matmul(left, right, transpose_b=turned))  # a copy: it may be written to


def squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The squared length of each row: float32 (n,)."""
    return np.asarray(np.einsum("nd,nd->n", rows, rows), np.float32)
