"""Trains networks by one optimizer on a loss of their own, resumable, with averaged weights."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.training.batches import generated
from semisynth.training.checkpoint import History
from semisynth.training.fit import fit_resumable
from semisynth.training.optimizing import FusedAdam


class LikelihoodModel(keras.Model):  # type: ignore[misc]
    """Networks that train together under `fit`; a subclass says what a batch costs.

    `tracked` names what `costs` gives. Randomness follows from `seed` and the step.
    """

    def __init__(self, networks: Sequence[keras.Model], tracked: Sequence[str], seed: int) -> None:
        super().__init__()
        self.networks, self.seed = list(networks), seed
        self.trackers = {name: keras.metrics.Mean(name=name) for name in tracked}

    @abstractmethod
    def costs(self, batch: dict[str, tf.Tensor], key: tf.Tensor) -> dict[str, tf.Tensor]:
        """Means over the batch, by name; `loss` is lowered. `key` int32 (2,) is that of this step."""

    def compile_with(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Attach a built optimizer; Keras itself gets none, as it would end `fit` by setting averaged weights."""
        super().compile(optimizer=None)
        optimizer.build(self.learnt)
        self.adam, self.optimizers, self.built = optimizer, [optimizer], True

    @property
    def learnt(self) -> list[keras.Variable]:
        """The variables that the optimizer updates."""
        return [variable for network in self.networks for variable in network.trainable_variables]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means over an epoch, which Keras resets at its start."""
        return list(self.trackers.values())

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, Any]:
        """One update."""
        key = tf.stack([tf.constant(self.seed, tf.int32), tf.cast(self.adam.iterations, tf.int32)])
        with tf.GradientTape() as tape:
            costs = self.costs(batch, key)
        self.adam.apply(tape.gradient(costs["loss"], self.learnt), self.learnt)
        for name, value in costs.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def copy_averaged(self, networks: Sequence[keras.Model]) -> None:
        """Give `networks`, built alike in float32, the weights, averaged where the optimizer keeps averages."""
        for copy, network in zip(networks, self.networks, strict=True):
            copy.set_weights(network.get_weights())
        self.adam.finalize_variable_values(
            [variable for copy in networks for variable in copy.trainable_variables]
        )


def fit_likelihood(
    model: LikelihoodModel,
    batches: Callable[[int], tf.data.Dataset],
    *,
    steps: int,
    epochs: int,
    rate: float,
    ema_momentum: float,
    clip: float | None = None,
    title: str,
    resume: Path | None,
    on_epoch: Callable[[int], None],
) -> History:
    """Run `steps` updates by Adam in `epochs` parts of equal length: see `fit_resumable`.

    Weights are averaged with momentum min(`ema_momentum`, 1 - 10 / steps), so that a short run averages over its
    last tenth. `clip` is the most that the gradient's norm may be. ValueError where `steps` is no multiple
    of `epochs`.
    """
    if steps % epochs:
        raise ValueError(f"steps must be a multiple of epochs, received {steps} and {epochs}")
    momentum = max(0.0, min(ema_momentum, 1 - 10 / steps))
    average = {"use_ema": True, "ema_momentum": momentum} if momentum else {}
    model.compile_with(FusedAdam(rate, global_clipnorm=clip, **average))
    return fit_resumable(
        model,
        batches,
        epochs=epochs,
        steps_per_epoch=steps // epochs,
        title=title,
        resume=resume,
        on_epoch=on_epoch,
    )


def drawn_batches(
    draw: Callable[[NDArray[np.int64]], Mapping[str, NDArray[Any]]],
    order: Callable[[], Iterator[NDArray[np.int64]]],
) -> tf.data.Dataset:
    """Endless batches `draw(rows)`, for the `rows` int64 (b,) that `order()` yields."""
    example = draw(next(order()))
    signature = {name: tf.TensorSpec(array.shape, array.dtype) for name, array in example.items()}
    return generated(lambda: map(draw, order()), signature)
