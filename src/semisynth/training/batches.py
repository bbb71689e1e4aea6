"""Endless batches whose content depends on the seed and the step alone, so that training can go on anywhere."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.pixels import to_signed

SHUFFLED, BALANCED = 101, 102  # tell these random streams from those of other modules


def index_batches(count: int, batch_size: int, *, seed: int, start_step: int = 0) -> Iterator[NDArray[np.int64]]:
    """Yield int64 (batch_size,) indices below `count`: shuffled passes, one after the other, without end.

    The batch of step s is the same whether the iteration starts at 0 or at s.
    """

    @lru_cache(maxsize=1)
    def order(number: int) -> NDArray[np.int64]:
        return np.random.default_rng([seed, SHUFFLED, number]).permutation(count)

    position = start_step * batch_size
    while True:
        yield np.concatenate(list(_pieces(position, batch_size, count, order)))
        position += batch_size


def _pieces(
    position: int, size: int, count: int, order: Callable[[int], NDArray[np.int64]]
) -> Iterator[NDArray[np.int64]]:
    """The `size` indices from `position` on, in pieces that end with a pass; `order(p)` is that of pass p."""
    while size > 0:
        number, offset = divmod(position, count)
        piece = order(number)[offset : offset + size]
        yield piece
        position += len(piece)
        size -= len(piece)


def balanced_batches(
    labels: NDArray[np.int64], batch_size: int, *, seed: int, start_step: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Yield int64 (batch_size,) indices into `labels`, the classes drawn evenly; from seed and step alone."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    step = start_step
    while True:
        random = np.random.default_rng([seed, BALANCED, step])
        # A random start lets every class take its turn where the batch is no multiple of the classes.
        turns = (np.arange(batch_size) + random.integers(len(members))) % len(members)
        yield np.array([random.choice(members[turn]) for turn in turns], np.int64)
        step += 1


def image_batches(
    images: NDArray[np.uint8], labels: NDArray[np.int64], batch_size: int, *, seed: int, start_step: int = 0
) -> tf.data.Dataset:
    """Endless batches: float32 (batch_size, side, side, 1) in [-1, 1], and int64 labels (batch_size,)."""

    def generate() -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        for chosen in index_batches(len(images), batch_size, seed=seed, start_step=start_step):
            yield to_signed(images[chosen]), labels[chosen]

    side = images.shape[1]
    signature = (
        tf.TensorSpec((batch_size, side, side, 1), tf.float32),
        tf.TensorSpec((batch_size,), tf.int64),
    )
    return generated(generate, signature)


def generated(generate: Callable[[], Iterator[Any]], signature: Any) -> tf.data.Dataset:
    """The batches that `generate()` yields, of this signature; the next two are made ahead.

    Without TensorFlow's tuning of the pipeline: there is nothing in it to tune, and the tuner's thread, asleep for
    up to a minute, holds up the end of a training until it wakes (tensorflow 2.21).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2).with_options(options)
