"""Keras' `fit`, made resumable, watched for NaN, and with progress."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from semisynth.errors import SemisynthError
from semisynth.training.checkpoint import Checkpoint, History
from semisynth.training.progress import Steps


class _StopAtNonFinite(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the training at the first step after which a loss is NaN or infinite."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title, self.epoch = title, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            if not math.isfinite(value):
                raise SemisynthError(
                    f"{self.title}: `{name}` became {float(value)} in epoch {self.epoch + 1}, step {batch + 1}, "
                    "expected a finite number; a smaller learning rate may help"
                )


class _KeepState(keras.callbacks.Callback):  # type: ignore[misc]
    """Extends the history and, where there is a checkpoint, saves the state after each epoch."""

    def __init__(
        self, history: History, checkpoint: Checkpoint | None, on_epoch: Callable[[int], None] | None, title: str
    ) -> None:
        super().__init__()
        self.history, self.checkpoint, self.on_epoch, self.title = history, checkpoint, on_epoch, title

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # The loss of a step precedes its update: the last one may spoil the weights unseen.
        if not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
            raise SemisynthError(f"{self.title}: the weights are no longer finite after epoch {epoch + 1}")
        self.history.append({name: float(value) for name, value in (logs or {}).items()})
        if self.on_epoch:
            self.on_epoch(epoch + 1)
        if self.checkpoint:
            self.checkpoint.save(self.model, self.history)


class _ShowProgress(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.steps.advance(1, "  ".join(f"{name} {float(value):.3f}" for name, value in (logs or {}).items()))


def fit_resumable(
    model: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    *,
    epochs: int,
    steps_per_epoch: int,
    title: str,
    resume: Path | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> History:
    """Run `epochs` × `steps_per_epoch` updates of a compiled, built model; return the logs of each epoch.

    `batches(step)` gives an endless data set that starts with that step's batch. `resume` names a folder
    that keeps the state after each epoch: the same call goes on from there, and ends with bit-identical
    weights. `on_epoch(number)` is called after each epoch, from 1, before its state is kept.
    Raises SemisynthError where a loss is NaN or infinite, with the epoch and the step.
    """
    checkpoint = Checkpoint(resume) if resume else None
    history = checkpoint.restore(model) if checkpoint else []
    done = len(history)
    if done < epochs:
        with Steps(title, (epochs - done) * steps_per_epoch) as steps:
            model.fit(
                batches(done * steps_per_epoch),
                initial_epoch=done,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                callbacks=[
                    _StopAtNonFinite(title),
                    _ShowProgress(steps),
                    _KeepState(history, checkpoint, on_epoch, title),
                ],
                shuffle=False,
                verbose=0,
            )
    return history
