"""A small convolutional GAN, whose discriminator serves the Wasserstein recipes as their critic too."""

from typing import Literal, TypeAlias

import keras
from keras import layers

from semisynth.networks.dtype import Dtype
from semisynth.networks.sizes import quarter

LATENT_SIZE = 20  # uniform in [-1, 1]
RECIPE = "dcgan_small"
Normalisation: TypeAlias = Literal["batch", "layer", "none"]


def generator(side: int, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, 20) to images float32 (b, side, side, 1) in [-1, 1]; `side` a multiple of 4.

    817,824 parameters at side 28, of which 804,832 trainable.
    """
    base = quarter(RECIPE, side)
    latent = keras.Input((LATENT_SIZE,), name="latent")
    x = layers.Dense(base * base * 128, use_bias=False, dtype=dtype)(latent)
    x = layers.Reshape((base, base, 128), dtype=dtype)(_activated(x, "batch", dtype))
    for filters, strides in ((128, 1), (64, 2), (32, 2)):
        same = {"strides": strides, "padding": "same", "use_bias": False, "dtype": dtype}
        x = layers.Conv2DTranspose(filters, 5, **same)(x)
        x = _activated(x, "batch", dtype)  # (b, base, base, 128), (b, side/2, side/2, 64), (b, side, side, 32)
    x = layers.Conv2DTranspose(1, 5, padding="same", use_bias=False, dtype=dtype)(x)
    return keras.Model([latent], layers.Activation("tanh", dtype="float32")(x), name=f"{RECIPE}_generator")


def discriminator(side: int, dtype: Dtype = None, normalisation: Normalisation = "batch") -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `realness` logits (b,); layer `features` before it.

    1,040,385 parameters at side 28, of which 1,039,489 trainable. The last convolution spans the whole of
    what is left of the image; a dense layer is the same.
    """
    base = quarter(RECIPE, side)
    x = images = keras.Input((side, side, 1))
    for filters, strides in ((64, 1), (128, 2), (256, 2)):
        x = layers.Conv2D(filters, 5, strides=strides, padding="same", dtype=dtype)(x)
        x = _activated(x, normalisation, dtype)
        if strides > 1:
            x = layers.Dropout(0.3, dtype=dtype)(x)
    features = layers.Reshape((base * base * 256,), name="features", dtype=dtype)(x)
    realness = layers.Reshape((), dtype="float32")(layers.Dense(1, dtype="float32")(features))
    return keras.Model(images, {"realness": realness}, name=f"{RECIPE}_discriminator")


def critic(side: int, dtype: Dtype = None, normalisation: Normalisation = "layer") -> keras.Model:
    """`discriminator` for the gradient penalty: layer normalisation, or none, in place of batch normalisation.

    The penalty holds the gradient of each image's own logit; batch normalisation would let every image move
    every logit (Gulrajani 2017, arXiv 1704.00028, section 4). Raises ValueError on "batch".
    """
    if normalisation == "batch":
        raise ValueError("expected a normalisation of `layer` or `none` for a critic, received `batch`")
    return discriminator(side, dtype, normalisation)


def _activated(x: keras.KerasTensor, normalisation: Normalisation, dtype: Dtype) -> keras.KerasTensor:
    if normalisation == "batch":
        x = layers.BatchNormalization(dtype=dtype)(x)
    elif normalisation == "layer":  # over height, width and channels at once, with one scale and shift a channel
        x = layers.GroupNormalization(groups=1, dtype=dtype)(x)
    return layers.LeakyReLU(0.3, dtype=dtype)(x)
