"""A network over many images: one compiled call of fixed shape, the last batch padded."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.pixels import to_signed


def batched(model: keras.Model, images: NDArray[np.uint8], batch_size: int = 500) -> NDArray[np.float32]:
    """The model's output for uint8 images (n, side, side): float32 (n, ...), every image once, in order."""
    outputs = batched_outputs(model, images, batch_size)
    if len(outputs) != 1:
        raise ValueError(f"expected a model of one output, received {len(outputs)}")
    return outputs[0]


def batched_outputs(
    model: keras.Model, images: NDArray[np.uint8], batch_size: int = 500
) -> list[NDArray[np.float32]]:
    """As `batched`, for a model of several outputs: one array each."""
    call = tf.function(lambda batch: tf.nest.flatten(model(batch, training=False)))
    parts: list[list[NDArray[Any]]] = []
    for start in range(0, len(images), batch_size):
        batch = to_signed(images[start : start + batch_size])
        padding = [(0, batch_size - len(batch)), (0, 0), (0, 0), (0, 0)]
        outputs = call(tf.constant(np.pad(batch, padding)))
        parts.append([np.asarray(output, np.float32)[: len(batch)] for output in outputs])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
