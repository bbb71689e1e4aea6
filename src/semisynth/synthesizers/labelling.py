"""Trains a classifier on few labelled and many unlabelled images: contrast first, then propagated labels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet
from semisynth.losses import class_loss, contrastive_loss
from semisynth.networks.labeller import labeller
from semisynth.synthesizers.propagation import certainty, counts_of
from semisynth.synthesizers.spreading import Strokes, propagated
from semisynth.training.batches import balanced_batches, generated, index_batches
from semisynth.training.checkpoint import History
from semisynth.training.determinism import seed_everything
from semisynth.training.distortion import distort
from semisynth.training.fit import fit_resumable
from semisynth.training.optimizing import FusedAdam
from semisynth.training.precision import Precision, dtype_policy

TRACKED = ("contrastive_loss", "class_loss", "propagated_loss", "certainty")


@dataclass(frozen=True)
class Schedule:
    """How many updates a labeller takes: `contrast` of the first phase, then `rounds` of `steps` each.

    Before every round, and once in the end, the labels are propagated anew. Learning rates follow half a cosine in
    each phase. ValueError unless `contrast` and `steps` are 1 or more, and `rounds` is not negative.
    """

    contrast: int
    rounds: int
    steps: int
    rate: float = 0.002
    temperature: float = 0.6
    contrast_weight: float = 0.2  # in the second phase, falling to 0

    def __post_init__(self) -> None:
        if min(self.contrast, self.steps) < 1 or self.rounds < 0:
            raise ValueError(f"expected at least one update of contrast and one a round, received {self}")

    @property
    def total(self) -> int:
        """All updates."""
        return self.contrast + self.rounds * self.steps


class Labelling(NamedTuple):
    """A trained labeller in float32, its history, NaN for losses that were not learned yet, and what it `found`.

    That is the class probabilities float32 (n, classes) of the unlabelled images that it was trained on. `counts`
    int64 (classes,) tell how many of them the strokes alone take for each class, without `even_classes`.
    """

    network: keras.Model
    history: History
    found: NDArray[np.float32]
    counts: NDArray[np.int64]


class _Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A cosine for each phase, each after a short linear start."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def __call__(self, step: Any) -> tf.Tensor:
        first, total = float(self.schedule.contrast), float(self.schedule.total)
        step = tf.cast(step, tf.float32)
        begun, length = tf.where(step < first, 0.0, first), tf.where(step < first, first, total - first)
        done = (step - begun) / length
        return (
            self.schedule.rate * tf.minimum(1.0, (step - begun + 1) / 50) * (0.51 + 0.49 * tf.cos(math.pi * done))
        )


class LabellerModel(keras.Model):  # type: ignore[misc]
    """A labeller that trains under `fit`; a batch holds indices `unlabelled` (b,) and `labelled` (m,).

    Two distorted views of every unlabelled image are drawn together (contrastive loss); from the second phase on
    the class head learns the labelled images, and the unlabelled ones' `targets` (n, k), weighted by their
    `sureness` (n,). Both are weights of the model, so that a checkpoint holds them, as are the `counts` (k,).
    """

    def __init__(
        self,
        network: keras.Model,
        labelled: ImageSet,
        unlabelled: NDArray[np.uint8],
        schedule: Schedule,
        seed: int,
    ) -> None:
        super().__init__()
        self.network, self.schedule, self.seed = network, schedule, seed
        self.known, self.labels = tf.constant(labelled.images), tf.constant(labelled.labels)
        self.others = tf.constant(unlabelled)
        self.targets = self.add_weight(
            (len(unlabelled), labelled.classes), "zeros", trainable=False, name="targets"
        )
        self.sureness = self.add_weight((len(unlabelled),), "zeros", trainable=False, name="sureness")
        self.counts = self.add_weight((labelled.classes,), "zeros", trainable=False, name="counts")
        self.trackers = {name: keras.metrics.Mean(name=name) for name in TRACKED}

    def compile_with(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Attach a built optimizer; Keras itself gets none, as it would end `fit` by setting averaged weights."""
        super().compile(optimizer=None)
        optimizer.build(self.network.trainable_variables)
        self.adam, self.optimizers, self.built = optimizer, [optimizer], True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means over an epoch, which Keras resets at its start."""
        return list(self.trackers.values())

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, Any]:
        """One update."""
        step = tf.cast(self.adam.iterations, tf.int32)
        count, others = tf.shape(batch["unlabelled"])[0], tf.gather(self.others, batch["unlabelled"])
        images = tf.concat([others, others, tf.gather(self.known, batch["labelled"])], 0)
        views = self._views(images, tf.stack([tf.constant(self.seed, tf.int32), step]))
        target = tf.tile(tf.gather(self.targets, batch["unlabelled"]), [2, 1])
        weight = tf.tile(tf.gather(self.sureness, batch["unlabelled"]), [2])
        contrast, classes = self._shares(step)
        with tf.GradientTape() as tape:
            output = self.network(views, training=True)
            both, logits = output["projection"][: 2 * count], output["classes"]
            alike = tf.reduce_mean(contrastive_loss(both[:count], both[count:], self.schedule.temperature))
            known = tf.reduce_mean(class_loss(logits[2 * count :], tf.gather(self.labels, batch["labelled"])))
            spread = tf.reduce_mean(weight * tf.nn.softmax_cross_entropy_with_logits(target, logits[: 2 * count]))
            loss = contrast * alike + classes * (known + spread)
        variables = self.network.trainable_variables
        self.adam.apply(tape.gradient(loss, variables), variables)
        logs = zip(TRACKED, (alike, known, spread, tf.reduce_mean(weight)), strict=True)
        for name, value in logs:
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    @staticmethod
    def _views(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        return distort(tf.cast(images, tf.float32)[..., tf.newaxis] / 127.5 - 1, key)

    def _shares(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Weights of the contrastive and of the class losses at a step."""
        first, total = self.schedule.contrast, self.schedule.total
        done = tf.cast(step - first, tf.float32) / max(1, total - first)
        late = tf.cast(step >= first, tf.float32)
        return tf.where(step < first, 1.0, self.schedule.contrast_weight * (1 - done)), late


def train_labeller(
    labelled: ImageSet,
    unlabelled: NDArray[np.uint8],
    schedule: Schedule,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    precision: Precision = "float32",
    even_classes: bool = True,
    resume: Path | None = None,
) -> Labelling:
    """Train a labeller on `labelled` and on `unlabelled` uint8 (n, side, side).

    `batch_size` unlabelled images a step, each seen twice, and a third as many labelled ones, the classes drawn
    evenly. Labels spread before every round, helped by what the last spreading found, and once more in the end.
    With `even_classes`, all votes for a class weigh as much as those for another, see `spread`. The weights are
    averaged over about the last hundred steps. `resume` and errors: see `fit_resumable`.
    ValueError where `epochs` does not divide the schedule's phases into whole epochs.
    """
    unit, rest = divmod(schedule.total, epochs)
    if rest or schedule.contrast % unit or schedule.steps % unit:
        raise ValueError(f"{epochs} epochs do not end where the phases of {schedule} do")
    seed_everything(seed)
    network = labeller(labelled.side, labelled.classes, dtype_policy(precision))
    model = LabellerModel(network, labelled, unlabelled, schedule, seed)
    momentum = max(0.0, min(0.99, 1 - 10 / schedule.total))
    average = {"use_ema": True, "ema_momentum": momentum} if momentum else {}
    model.compile_with(FusedAdam(_Rate(schedule), **average))

    @cache
    def strokes() -> Strokes:
        return Strokes.of(labelled, unlabelled)

    def renew_targets(epoch: int) -> None:
        into = epoch * unit - schedule.contrast
        if into >= 0 and into % schedule.steps == 0:
            earlier = model.targets.numpy() if into else None
            if not into:
                model.counts.assign(counts_of(strokes().votes))
            averaged = averaged_labeller(model)
            targets = propagated(averaged, labelled, unlabelled, strokes(), earlier, even=even_classes)
            model.targets.assign(targets)
            model.sureness.assign(certainty(targets) ** 2)

    history = fit_resumable(
        model,
        lambda start: _batches(len(unlabelled), labelled.labels, batch_size, seed, start),
        epochs=epochs,
        steps_per_epoch=unit,
        title="train labeller",
        resume=resume,
        on_epoch=renew_targets,
    )
    history = _without_unlearned(history, schedule.contrast // unit)
    counts = model.counts.numpy().astype(np.int64)
    return Labelling(averaged_labeller(model), history, model.targets.numpy(), counts)


def _without_unlearned(history: History, epochs: int) -> History:
    """NaN for what was not learned yet in the first phase's `epochs`: all but the contrast."""
    nothing = dict.fromkeys(set(TRACKED) - {"contrastive_loss"}, math.nan)
    return [{**epoch, **nothing} for epoch in history[:epochs]] + history[epochs:]


def averaged_labeller(model: LabellerModel) -> keras.Model:
    """A float32 copy of the model's network, with the optimizer's averaged weights where it keeps them."""
    side, classes = model.known.shape[1], model.targets.shape[1]
    copy = labeller(side, classes)
    copy.set_weights(model.network.get_weights())
    model.adam.finalize_variable_values(copy.trainable_variables)  # does nothing without averages
    return copy


def _batches(count: int, labels: NDArray[np.int64], batch_size: int, seed: int, start: int) -> tf.data.Dataset:
    known = max(1, batch_size // 3)

    def generate() -> Iterator[dict[str, NDArray[np.int64]]]:
        others = index_batches(count, batch_size, seed=seed, start_step=start)
        for every, some in zip(others, balanced_batches(labels, known, seed=seed, start_step=start), strict=False):
            yield {"unlabelled": every, "labelled": some}

    signature = {
        "unlabelled": tf.TensorSpec((batch_size,), tf.int64),
        "labelled": tf.TensorSpec((known,), tf.int64),
    }
    return generated(generate, signature)
