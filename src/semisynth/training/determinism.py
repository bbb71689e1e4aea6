"""Equal runs from equal seeds, on equal hardware."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import keras
import tensorflow as tf

_building = Lock()


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and Keras, and make TensorFlow's operations deterministic; call it before building."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """`seed_everything`, and no other thread's block of this kind until this one ends: to build side by side.

    Layers draw their weights and the seeds of their dropout as they are built; training draws no more.
    """
    with _building:
        seed_everything(seed)
        yield
