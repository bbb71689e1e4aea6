"""Trains recipe `lstm`: which patch of an image follows those before it, given the class."""

import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet
from semisynth.networks import lstm
from semisynth.synthesizers.likelihood import LikelihoodModel, drawn_batches, fit_likelihood
from semisynth.synthesizers.patches import fit_codebook
from semisynth.synthesizers.sampler import check_labels
from semisynth.synthesizers.sequence_sampler import SequenceSampler, Size, build_sequences, nats_of, sequences_of
from semisynth.training.batches import balanced_batches
from semisynth.training.checkpoint import History
from semisynth.training.determinism import seed_everything
from semisynth.training.precision import Precision, dtype_policy

RATE = 0.002
CLIP = 1.0  # of the gradient's norm (Pascanu et al. 2013, arXiv 1211.5063)


class SequenceModel(LikelihoodModel):
    """A predictor that trains under `fit`; a batch holds `tokens` int32 (b, 1 + patches), the class first."""

    def __init__(self, predictor: keras.Model, seed: int) -> None:
        super().__init__([predictor], ("loss", "bits_per_token"), seed)

    def costs(self, batch: dict[str, tf.Tensor], key: tf.Tensor) -> dict[str, tf.Tensor]:
        """Cross-entropy in nats a token, and the same in bits."""
        loss = tf.reduce_mean(nats_of(self.networks[0], batch["tokens"], training=True))
        return {"loss": loss, "bits_per_token": loss / math.log(2)}


def train_lstm(
    real: NDArray[np.uint8],
    labelled: ImageSet,
    *,
    steps: int,
    epochs: int,
    batch_size: int,
    seed: int,
    codes: int = 64,
    patch: int = 4,
    temperature: float = 1.0,
    size: Size | None = None,
    rate: float | None = None,
    ema_momentum: float = 0.999,
    precision: Precision = "float32",
    resume: Path | None = None,
    on_epoch: Callable[[int, SequenceSampler], None] | None = None,
) -> tuple[SequenceSampler, History]:
    """Learn `codes` centres of patches from `real` uint8 (n, side, side), then sequences of them from `labelled`.

    `steps` updates in `epochs` parts of equal length, the classes drawn evenly; weights are averaged: see
    `fit_likelihood`. `on_epoch` receives the number of the epoch, from 1, and the model as it stands.
    SemisynthError where labels are missing.
    """
    check_labels("lstm", labelled)
    seed_everything(seed)
    codebook, size = fit_codebook(real, codes=codes, patch=patch, seed=seed), size or Size()
    tokens = sequences_of(codebook, labelled.images, labelled.labels)
    shape = (codebook, labelled.side, labelled.classes, size)
    fresh = build_sequences(*shape, dtype_policy(precision), temperature=temperature)
    model = SequenceModel(fresh.predictor, seed)

    def averaged() -> SequenceSampler:
        copy = build_sequences(*shape, temperature=temperature)
        model.copy_averaged([copy.predictor])
        return copy

    history = fit_likelihood(
        model,
        lambda start: drawn_batches(
            lambda rows: {"tokens": tokens[rows]},
            lambda: balanced_batches(labelled.labels, batch_size, seed=seed, start_step=start),
        ),
        steps=steps,
        epochs=epochs,
        rate=rate or RATE,
        ema_momentum=ema_momentum,
        clip=CLIP,
        title=f"train {lstm.RECIPE}",
        resume=resume,
        on_epoch=lambda number: on_epoch(number, averaged()) if on_epoch else None,
    )
    return averaged(), history
