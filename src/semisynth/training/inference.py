"""A network over many images: one compiled call of fixed shape, the last batch padded."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.pixels import to_signed
from semisynth.training.progress import track

MANY = 20_000  # images that take more than a few seconds


class FixedBatch:
    """A model of named outputs, compiled once for `batch_size` images; smaller batches are padded."""

    def __init__(self, model: Any, batch_size: int) -> None:
        self._call = tf.function(lambda batch: model(batch), autograph=False)  # sooner: no Python to convert
        self.batch_size = batch_size

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The outputs float32 (n, ...) for at most `batch_size` images uint8 (n, side, side)."""
        batch = to_signed(images)
        padding = [(0, self.batch_size - len(batch)), (0, 0), (0, 0), (0, 0)]
        outputs = self._call(tf.constant(np.pad(batch, padding)))
        return {name: np.asarray(value, np.float32)[: len(batch)] for name, value in outputs.items()}


def batched(model: keras.Model, images: NDArray[np.uint8], batch_size: int = 500) -> NDArray[np.float32]:
    """The output of a model of one output for uint8 images (n, side, side): float32 (n, ...), in order."""
    return batched_outputs(lambda batch: {"output": model(batch, training=False)}, images, batch_size)["output"]


def batched_outputs(
    model: Any, images: NDArray[np.uint8], batch_size: int = 500
) -> dict[str, NDArray[np.float32]]:
    """As `batched`, for a model of named outputs: an array for each name."""
    call = FixedBatch(model, batch_size)
    starts = _watched(range(0, max(len(images), 1), batch_size), len(images))
    parts = [call(images[start : start + batch_size]) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def over_rows(
    call: Callable[[list[tf.Tensor]], tf.Tensor],
    inputs: Sequence[NDArray[Any]],
    batch_size: int = 500,
    finish: Callable[[NDArray[np.float32]], NDArray[Any]] = np.asarray,
) -> NDArray[Any]:
    """`call` over the rows of several arrays (n, ...), compiled once for `batch_size` rows: float32 (n, ...).

    `finish` takes the result of some rows to that of the whole, such as pixels of a byte.
    """
    compiled, parts = tf.function(call), []
    for start in range(0, max(len(inputs[0]), 1), batch_size):
        rows = [array[start : start + batch_size] for array in inputs]
        count = len(rows[0])
        padded = [np.pad(array, [(0, batch_size - count)] + [(0, 0)] * (array.ndim - 1)) for array in rows]
        told = np.asarray(compiled([tf.constant(array) for array in padded]), np.float32)
        parts.append(finish(told[:count]))
    return np.concatenate(parts)


def _watched(starts: range, count: int) -> Iterable[int]:
    return track(starts, "network over images", len(starts)) if count >= MANY else starts
