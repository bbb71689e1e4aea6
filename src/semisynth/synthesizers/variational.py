"""Variational autoencoders, `vae` and by class `cvae`: trained on the evidence bound, saved and loaded as bundles.

Kingma and Welling 2014, arXiv 1312.6114: log p(image) is at least minus reconstruction minus divergence, in nats.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet
from semisynth.data.pixels import from_signed, to_signed
from semisynth.losses import latent_divergence, reconstruction_loss
from semisynth.networks import vae
from semisynth.networks.dtype import Dtype
from semisynth.synthesizers.likelihood import LikelihoodModel, drawn_batches, fit_likelihood
from semisynth.synthesizers.model import KIND
from semisynth.synthesizers.sampler import FAMILIES, FamilySampler, check_labels, class_names_in
from semisynth.training.batches import balanced_batches, index_batches
from semisynth.training.bundle import (
    bounded,
    load_bundle,
    load_weights,
    save_bundle,
    save_weights,
    setting,
    side_and_classes,
)
from semisynth.training.checkpoint import History
from semisynth.training.determinism import seed_everything
from semisynth.training.inference import over_rows
from semisynth.training.precision import Precision, dtype_policy

RATE = 0.001
MOST_LATENT = 2**16  # components of a latent that is loaded
TRACKED = ("loss", "reconstruction_loss", "divergence_loss")


@dataclass(frozen=True)
class VariationalSampler(FamilySampler):
    """Encoder and decoder with their averaged weights, in float32. Fulfils `Sampler`."""

    encoder: keras.Model
    decoder: keras.Model

    @cached_property
    def generator(self) -> keras.Model:
        """The decoder's images float32 (b, side, side, 1) in [-1, 1]."""
        return vae.generator(self.decoder)

    def sample(self, labels: NDArray[np.int64], *, seed: int) -> NDArray[np.uint8]:
        """One image a label: uint8 (n, side, side). `vae` counts the labels and ignores them."""
        shape = (len(labels), self.recipe.latent_size)
        return self.decode(np.random.default_rng([seed, 1]).standard_normal(shape, np.float32), labels)

    def decode(
        self, latents: NDArray[np.float32], labels: NDArray[np.int64], batch_size: int = 500
    ) -> NDArray[np.uint8]:
        """The images uint8 (n, side, side) of latents float32 (n, latent) and class indices int64 (n,)."""
        network, given = self.generator, self._given(latents, labels)
        return over_rows(lambda rows: network(rows, training=False), given, batch_size, finish=from_signed)

    def evidence_bound(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], *, seed: int = 0
    ) -> NDArray[np.float32]:
        """The bound of log p(image), for `cvae` given its class, in nats, by one draw of the latent: (n,)."""
        shape = (len(images), self.recipe.latent_size)
        noise = np.random.default_rng([seed, 3]).standard_normal(shape, np.float32)

        def bound(rows: Sequence[tf.Tensor]) -> tf.Tensor:
            return -tf.add_n(_terms(self.encoder, self.decoder, rows[1:], rows[0], training=False))

        return over_rows(bound, [noise, *self._given(to_signed(images), labels)])

    def save(self, folder: Path) -> None:
        """Save as a bundle under `folder`, whole or not at all."""

        def write(inside: Path) -> None:
            save_weights(inside / "encoder.npz", self.encoder)
            save_weights(inside / "decoder.npz", self.decoder)

        save_bundle(folder, KIND, self.settings | {"latent_size": self.recipe.latent_size}, write)

    def _given(self, rows: NDArray[np.float32], labels: NDArray[np.int64]) -> list[NDArray[np.generic]]:
        return [rows, labels.astype(np.int32)] if self.has_classes else [rows]


class VariationalModel(LikelihoodModel):
    """An encoder and a decoder that train together under `fit`.

    A batch holds `images` float32 (b, side, side, 1) in [-1, 1], and for `cvae` their `labels` int32 (b,).
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, seed: int) -> None:
        super().__init__([encoder, decoder], TRACKED, seed)

    def costs(self, batch: dict[str, tf.Tensor], key: tf.Tensor) -> dict[str, tf.Tensor]:
        """Minus the evidence bound and its two terms, in nats an image."""
        encoder, decoder = self.networks
        given = [batch[name] for name in ("images", "labels") if name in batch]
        noise = tf.random.stateless_normal((tf.shape(given[0])[0], decoder.inputs[0].shape[1]), key)
        reconstruction, divergence = _terms(encoder, decoder, given, noise, training=True)
        values = (reconstruction + divergence, reconstruction, divergence)
        return {name: tf.reduce_mean(value) for name, value in zip(TRACKED, values, strict=True)}


def _terms(
    encoder: keras.Model, decoder: keras.Model, given: Sequence[tf.Tensor], noise: tf.Tensor, *, training: bool
) -> list[tf.Tensor]:
    """Reconstruction and divergence (b,) in nats of images (b, side, side, 1), followed by their labels if any."""
    encoded = encoder(list(given), training=training)
    latents = vae.latent_of(encoded["mean"], encoded["log_variance"], noise)
    logits = decoder([latents, *given[1:]], training=training)
    return [reconstruction_loss(logits, (given[0] + 1) / 2), latent_divergence(**encoded)]


def build_variational(
    recipe: str, side: int, classes: int, latent_size: int = vae.LATENT_SIZE, dtype: Dtype = None
) -> VariationalSampler:
    """A `vae` or `cvae` with fresh weights."""
    family = replace(FAMILIES[recipe], latent_size=latent_size)
    told = classes if family.conditional else 0
    encoder, decoder = vae.encoder(side, told, latent_size, dtype), vae.decoder(side, told, latent_size, dtype)
    return VariationalSampler(family, side, classes, encoder, decoder)


def train_vae(
    recipe: str,
    real: NDArray[np.uint8],
    labelled: ImageSet,
    *,
    steps: int,
    epochs: int,
    batch_size: int,
    seed: int,
    latent_size: int = vae.LATENT_SIZE,
    rate: float | None = None,
    ema_momentum: float = 0.999,
    precision: Precision = "float32",
    resume: Path | None = None,
    on_epoch: Callable[[int, VariationalSampler], None] | None = None,
) -> tuple[VariationalSampler, History]:
    """Train `vae` on the images `real` uint8 (n, side, side), or `cvae` on `labelled`, the classes drawn evenly.

    `steps` updates in `epochs` parts of equal length; weights are averaged: see `fit_likelihood`. `on_epoch`
    receives the number of the epoch, from 1, and the model as it stands. SemisynthError where `cvae` lacks labels.
    """
    if FAMILIES[recipe].learns_classes:
        check_labels(recipe, labelled)
    seed_everything(seed)
    fresh = build_variational(recipe, labelled.side, labelled.classes, latent_size, dtype_policy(precision))
    model = VariationalModel(fresh.encoder, fresh.decoder, seed)

    def averaged() -> VariationalSampler:
        copy = build_variational(recipe, fresh.side, fresh.classes, latent_size)
        model.copy_averaged([copy.encoder, copy.decoder])
        return copy

    def batches(start: int) -> tf.data.Dataset:
        place = {"seed": seed, "start_step": start}
        if not fresh.has_classes:
            return drawn_batches(
                lambda rows: {"images": to_signed(real[rows])},
                lambda: index_batches(len(real), batch_size, **place),
            )
        images, labels = labelled.images, labelled.labels.astype(np.int32)
        return drawn_batches(
            lambda rows: {"images": to_signed(images[rows]), "labels": labels[rows]},
            lambda: balanced_batches(labelled.labels, batch_size, **place),
        )

    history = fit_likelihood(
        model,
        batches,
        steps=steps,
        epochs=epochs,
        rate=rate or RATE,
        ema_momentum=ema_momentum,
        title=f"train {recipe}",
        resume=resume,
        on_epoch=lambda number: on_epoch(number, averaged()) if on_epoch else None,
    )
    return averaged(), history


def load_variational(folder: Path) -> VariationalSampler:
    """Rebuild the networks from code and load their checked weights; SemisynthError if the bundle is damaged."""
    bundle = load_bundle(folder, KIND)
    latent_size = bounded(bundle, "latent_size", 1, MOST_LATENT)
    loaded = build_variational(setting(bundle, "recipe", str), *side_and_classes(bundle), latent_size)
    load_weights(bundle.file("encoder.npz"), loaded.encoder)
    load_weights(bundle.file("decoder.npz"), loaded.decoder)
    return replace(loaded, class_names=class_names_in(bundle))
