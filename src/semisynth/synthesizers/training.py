"""Trains a recipe on an image set: batches, optimizers with averaged weights, and what to keep of each epoch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet
from semisynth.data.pixels import to_signed
from semisynth.errors import SemisynthError
from semisynth.synthesizers.adversarial import AdversarialModel
from semisynth.synthesizers.model import Synthesizer, build_synthesizer
from semisynth.synthesizers.recipe import Recipe
from semisynth.synthesizers.sampler import Family, check_labels
from semisynth.training.batches import balanced_batches, generated, index_batches
from semisynth.training.checkpoint import History
from semisynth.training.determinism import seed_everything
from semisynth.training.fit import fit_resumable
from semisynth.training.precision import Precision, dtype_policy


def train_synthesizer(
    recipe: Recipe,
    real: NDArray[np.uint8],
    labelled: ImageSet,
    *,
    steps: int,
    epochs: int,
    batch_size: int,
    seed: int,
    rate: float | None = None,
    ema_momentum: float = 0.999,
    precision: Precision = "float32",
    labeller: keras.Model | None = None,
    resume: Path | None = None,
    on_epoch: Callable[[int, Synthesizer], None] | None = None,
) -> tuple[Synthesizer, History]:
    """Train one pair of `recipe` for `steps` updates, in `epochs` parts of equal length; give it with its history.

    `real` uint8 (n, side, side) are all images without labels, `labelled` those whose class is known; for a recipe
    that learns labels they are those that its trained `labeller` is sure of. Where the discriminator judges by
    class, `real` is not used. `rate` replaces the recipe's two learning rates. Weights are averaged with momentum
    min(`ema_momentum`, 1 - 10 / steps), so that a short run averages over its last tenth.
    `resume` and errors: see `fit_resumable`; ValueError where `steps` is no multiple of `epochs`, SemisynthError
    where the recipe needs labels and there are none, or replays fewer images than half a batch.
    `on_epoch` receives the number of the epoch, from 1, and the synthesizer as it stands, with averaged weights.
    """
    if steps % epochs:
        raise ValueError(f"steps must be a multiple of epochs, received {steps} and {epochs}")
    check_fits(recipe, labelled, batch_size)
    seed_everything(seed)
    trained = build_synthesizer(recipe, labelled.side, labelled.classes, dtype_policy(precision))
    if labeller is not None:
        trained.discriminator.get_layer(labeller.name).set_weights(labeller.get_weights())
    adversary = recipe.adversary(trained.discriminator)
    model = AdversarialModel(
        recipe, trained.generator, adversary, classes=labelled.classes, seed=seed, steps=steps
    )
    momentum = max(0.0, min(ema_momentum, 1 - 10 / steps))
    model.compile_pair(
        recipe.optimizer(rate or recipe.discriminator_rate, momentum),
        recipe.optimizer(rate or recipe.generator_rate, momentum),
    )

    def keep_epoch(number: int) -> None:
        if on_epoch:
            on_epoch(number, averaged(trained, model))

    history = fit_resumable(
        model,
        lambda start: _batches(recipe, real, labelled, batch_size, seed, start),
        epochs=epochs,
        steps_per_epoch=steps // epochs,
        title=f"train {recipe.name}",
        resume=resume,
        on_epoch=keep_epoch,
    )
    return averaged(trained, model), history


def check_fits(recipe: Recipe | Family, labelled: ImageSet, batch_size: int) -> None:
    """Raise SemisynthError where the recipe needs labels that are missing, or keeps too few images for a batch."""
    if recipe.learns_classes:
        check_labels(recipe.name, labelled)
    if isinstance(recipe, Recipe) and 0 < recipe.stabilisers.replay < batch_size // 2:
        raise SemisynthError(
            f"recipe `{recipe.name}`: expected `replay` of at least half a batch, {batch_size // 2}, "
            f"received {recipe.stabilisers.replay}"
        )


def averaged(trained: Synthesizer, model: AdversarialModel) -> Synthesizer:
    """A float32 copy of the synthesizer, with each optimizer's averaged weights where it keeps them."""
    copy = build_synthesizer(trained.recipe, trained.side, trained.classes)
    copy.generator.set_weights(trained.generator.get_weights())
    copy.discriminator.set_weights(trained.discriminator.get_weights())
    adversary = copy.recipe.adversary(copy.discriminator)
    for network, optimizer in zip((adversary, copy.generator), model.optimizers, strict=True):
        optimizer.finalize_variable_values(network.trainable_variables)  # does nothing without averages
    copy.recipe.loss.clip_weights(adversary)  # averages take in weights from before their clipping
    return copy


def _batches(
    recipe: Recipe, real: NDArray[np.uint8], labelled: ImageSet, batch_size: int, seed: int, start: int
) -> tf.data.Dataset:
    known, labels_come = max(1, batch_size // 2), recipe.conditioning.labelled

    def generate() -> Iterator[dict[str, NDArray[Any]]]:
        if labels_come == "real":
            for chosen in balanced_batches(labelled.labels, batch_size, seed=seed, start_step=start):
                yield {"real": to_signed(labelled.images[chosen]), "labels": labelled.labels[chosen]}
        reals = index_batches(len(real), batch_size, seed=seed, start_step=start)
        classes = balanced_batches(labelled.labels, known, seed=seed, start_step=start)
        for every, some in zip(reals, classes, strict=False):
            batch: dict[str, NDArray[Any]] = {"real": to_signed(real[every])}
            if labels_come == "beside":
                batch |= {"labelled": to_signed(labelled.images[some]), "labels": labelled.labels[some]}
            yield batch

    shape = (labelled.side, labelled.side, 1)
    signature = {"real": tf.TensorSpec((batch_size, *shape), tf.float32)}
    if labels_come == "real":
        signature["labels"] = tf.TensorSpec((batch_size,), tf.int64)
    elif labels_come == "beside":
        signature["labelled"] = tf.TensorSpec((known, *shape), tf.float32)
        signature["labels"] = tf.TensorSpec((known,), tf.int64)
    return generated(generate, signature)
