"""Pairs of networks that train against each other, a generator and a discriminator, by the names recipes use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import keras
import tensorflow as tf

from semisynth.errors import SemisynthError
from semisynth.networks import acgan, dcgan, dcgan_small, dense_gan, semi_acgan, tanh_conv_gan, vanilla_gan
from semisynth.networks.conditioned import with_classes, with_heads
from semisynth.networks.dtype import Dtype
from semisynth.synthesizers.conditioning import (
    AUXILIARY,
    CONCATENATED,
    NONE,
    ONE_MORE_CLASS,
    PROJECTION,
    Conditioning,
)

Build = Callable[..., keras.Model]

CONDITIONINGS = {one.name: one for one in (NONE, AUXILIARY, PROJECTION, ONE_MORE_CLASS)}  # for networks without


@dataclass(frozen=True)
class Pair:
    """How a generator and a discriminator are built, and what they are made for.

    Both build from (side, classes, dtype), the discriminator from `options` as well, which name those that it
    `takes`. Latents (b, `latent_size`) are normal, or uniform in [-1, 1]. `critic` names the part of the
    discriminator that trains against the generator, where another part labels images and is trained first.
    `wrapped`: the networks know no classes themselves, which come in around them.
    """

    generator: Build
    discriminator: Build
    latent_size: int
    conditioning: Conditioning = NONE
    latent: Literal["normal", "uniform"] = "normal"
    critic: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    wrapped: bool = False

    def build_generator(self, side: int, classes: int, dtype: Dtype = None) -> keras.Model:
        """The generator with fresh weights; SemisynthError where it can't make this side."""
        made = self.generator(side, classes, dtype)
        return with_classes(made, classes) if self.wrapped and self.conditioning.draws_classes else made

    def build_discriminator(self, side: int, classes: int, dtype: Dtype = None) -> keras.Model:
        """The discriminator with fresh weights; SemisynthError where it can't judge this side."""
        made = self.discriminator(side, classes, dtype, **self.options)
        return with_heads(made, classes, self.conditioning.name) if self.wrapped else made

    @property
    def compares_images(self) -> bool:
        """Whether the images of a training batch change each other's logits; each kind is then judged apart."""
        return self.options.get("normalisation") == "batch" or bool(self.options.get("minibatch_discrimination"))

    def with_options(self, **options: Any) -> "Pair":
        """The same with other options; SemisynthError where the discriminator takes none of that name."""
        for name in options.keys() - self.options.keys():
            takes = ", ".join(self.options)
            raise SemisynthError(f"`train_synthesizer.recipe.{name}`: this base's discriminator takes {takes}")
        return replace(self, options={**self.options, **options})

    def conditioned(self, name: str) -> "Pair":
        """The same with the conditioning called `name`; SemisynthError where the networks have another."""
        if self.conditioning.name == name:
            return self
        if self.conditioning != NONE:
            raise SemisynthError(
                f"`train_synthesizer.recipe.conditioning`: this base's networks are made for "
                f"classes ({self.conditioning.name}); expected none given, or a base without, received `{name}`"
            )
        return replace(self, conditioning=CONDITIONINGS[name], wrapped=True)

    def random_latents(self, count: tf.Tensor | int, key: tf.Tensor) -> tf.Tensor:
        """Latents (count, latent) float32 for training, from a `key` int32 (2,)."""
        shape = (count, self.latent_size)
        if self.latent == "uniform":
            return tf.random.stateless_uniform(shape, key, -1, 1)
        return tf.random.stateless_normal(shape, key)


def _without_classes(build: Build) -> Build:
    return lambda side, _, dtype=None, **options: build(side, dtype, **options)


def _plain(module: Any, *, latent: Literal["normal", "uniform"], **options: Any) -> Pair:
    """The pair of a module of `networks` that knows no classes."""
    return Pair(
        generator=_without_classes(module.generator),
        discriminator=_without_classes(module.discriminator),
        latent_size=module.LATENT_SIZE,
        latent=latent,
        options=options,
    )


_SMALL = _plain(dcgan_small, latent="uniform", normalisation="batch", minibatch_discrimination=False)

PAIRS = {
    "acgan": Pair(
        acgan.generator,
        acgan.discriminator,
        acgan.LATENT_SIZE,
        AUXILIARY,
        options={"minibatch_discrimination": False},
    ),
    "semi_acgan": Pair(
        semi_acgan.generator,
        semi_acgan.discriminator,
        semi_acgan.LATENT_SIZE,
        PROJECTION,
        critic=semi_acgan.CRITIC,
        options={"minibatch_discrimination": False},
    ),
    "dcgan": _plain(dcgan, latent="normal", minibatch_discrimination=False),
    "vanilla_gan": _plain(vanilla_gan, latent="uniform", minibatch_discrimination=False),
    "dense_gan": _plain(dense_gan, latent="normal", minibatch_discrimination=False),
    "dense_cgan": Pair(
        dense_gan.conditional_generator,
        dense_gan.conditional_discriminator,
        dense_gan.LATENT_SIZE,
        CONCATENATED,
        options={"minibatch_discrimination": False},
    ),
    "tanh_conv_gan": _plain(tanh_conv_gan, latent="uniform", minibatch_discrimination=False),
    "dcgan_small": _SMALL,
    "dcgan_small_classifier": replace(
        _SMALL,
        discriminator=dcgan_small.classifier,
        conditioning=ONE_MORE_CLASS,
        options={"normalisation": "layer", "minibatch_discrimination": False},
    ),
}
