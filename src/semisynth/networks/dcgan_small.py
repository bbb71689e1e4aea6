"""A small convolutional GAN, whose discriminator also serves as a critic, and to tell classes."""

from typing import Literal, TypeAlias

import keras
from keras import layers

from semisynth.networks.dropping import ByteDropout
from semisynth.networks.dtype import Dtype
from semisynth.networks.heads import compared, judgement
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


def discriminator(
    side: int,
    dtype: Dtype = None,
    normalisation: Normalisation = "batch",
    *,
    minibatch_discrimination: bool = False,
) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `realness` logits (b,).

    `features` (b, 256) is what it reads, averaged over the places of the image. 1,040,385 parameters at side 28,
    of which 1,039,489 trainable, without `minibatch_discrimination`. The last convolution spans the whole of what
    is left of the image; a dense layer is the same. A gradient penalty needs another normalisation than "batch",
    by which every image would move every logit (Gulrajani 2017, arXiv 1704.00028, section 4).
    """
    images = keras.Input((side, side, 1))
    x = _described(images, normalisation, dtype)
    outputs = judgement(_flat(x, dtype), _averaged(x), dtype, minibatch_discrimination)
    return keras.Model(images, outputs, name=f"{RECIPE}_discriminator")


def classifier(
    side: int,
    classes: int,
    dtype: Dtype = None,
    normalisation: Normalisation = "layer",
    *,
    minibatch_discrimination: bool = False,
) -> keras.Model:
    """`discriminator` with logits `classes` (b, k), whose log-sum-exp is `realness` (b,).

    It is that of k + 1 classes whose last, "synthetic", has logit 0 (Salimans 2016, arXiv 1606.03498, section 5).
    With `minibatch_discrimination`, how alike the images of the batch are moves all k logits by one number, which
    `realness` follows, while the classes stay as likely among themselves.
    """
    images = keras.Input((side, side, 1))
    x = _described(images, normalisation, dtype)
    flat = _flat(x, dtype)
    logits = layers.Dense(classes, dtype="float32")(flat)
    if minibatch_discrimination:
        alike = compared(flat, dtype, minibatch_discrimination)[:, flat.shape[1] :]
        logits = logits + layers.Dense(1, dtype="float32")(alike)
    outputs = {"classes": logits, "realness": keras.ops.logsumexp(logits, axis=1), "features": _averaged(x)}
    return keras.Model(images, outputs, name=f"{RECIPE}_classifier")


def _described(images: keras.KerasTensor, normalisation: Normalisation, dtype: Dtype) -> keras.KerasTensor:
    """(b, side, side, 1) to (b, side/4, side/4, 256)."""
    quarter(RECIPE, images.shape[1])
    x = images
    for filters, strides in ((64, 1), (128, 2), (256, 2)):
        x = layers.Conv2D(filters, 5, strides=strides, padding="same", dtype=dtype)(x)
        x = _activated(x, normalisation, dtype)
        if strides > 1:
            x = ByteDropout(0.3, dtype=dtype)(x)
    return x


def _flat(x: keras.KerasTensor, dtype: Dtype) -> keras.KerasTensor:
    return layers.Flatten(dtype=dtype)(x)


def _averaged(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.GlobalAveragePooling2D(dtype="float32")(x)


def _activated(x: keras.KerasTensor, normalisation: Normalisation, dtype: Dtype) -> keras.KerasTensor:
    if normalisation == "batch":
        x = layers.BatchNormalization(dtype=dtype)(x)
    elif normalisation == "layer":  # over height, width and channels at once, with one scale and shift a channel
        x = layers.GroupNormalization(groups=1, dtype=dtype)(x)
    return layers.LeakyReLU(0.3, dtype=dtype)(x)
