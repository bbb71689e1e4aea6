"""An unconditional, deep convolutional GAN (Radford 2016, arXiv 1511.06434), in the size usual for MNIST."""

import keras
from keras import layers

from semisynth.networks.dropping import ByteDropout
from semisynth.networks.dtype import Dtype
from semisynth.networks.heads import judgement
from semisynth.networks.sizes import quarter

LATENT_SIZE = 100


def generator(side: int, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, 100) to images float32 (b, side, side, 1) in [-1, 1]; `side` a multiple of 4."""
    base = quarter("dcgan", side)
    latent = keras.Input((LATENT_SIZE,), name="latent")
    x = layers.Dense(base * base * 256, dtype=dtype)(latent)
    x = _normalized(x, dtype)
    x = layers.Reshape((base, base, 256), dtype=dtype)(x)
    x = ByteDropout(0.3, dtype=dtype)(x)
    for filters, enlarge in ((128, True), (64, True), (32, False)):
        if enlarge:
            x = layers.UpSampling2D(dtype=dtype)(x)
        x = layers.Conv2DTranspose(filters, 5, padding="same", dtype=dtype)(x)
        x = _normalized(x, dtype)  # (b, side/2, side/2, 128), then (b, side, side, 64) and 32
    x = layers.Conv2DTranspose(1, 5, padding="same", dtype=dtype)(x)
    return keras.Model([latent], layers.Activation("tanh", dtype="float32")(x), name="dcgan_generator")


def _normalized(x: keras.KerasTensor, dtype: Dtype) -> keras.KerasTensor:
    return layers.ReLU(dtype=dtype)(layers.BatchNormalization(momentum=0.8, dtype=dtype)(x))


def discriminator(side: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `realness` logits (b,).

    `features` (b, 512) is what it reads, averaged over the places of the image.
    """
    x = images = keras.Input((side, side, 1))
    for filters, strides in zip((64, 128, 256, 512), (2, 2, 2, 1), strict=True):
        x = layers.Conv2D(filters, 5, strides=strides, padding="same", dtype=dtype)(x)
        x = layers.LeakyReLU(0.3, dtype=dtype)(x)
        x = ByteDropout(0.3, dtype=dtype)(x)
    flat, features = layers.Flatten(dtype=dtype)(x), layers.GlobalAveragePooling2D(dtype="float32")(x)
    outputs = judgement(flat, features, dtype, minibatch_discrimination)
    return keras.Model(images, outputs, name="dcgan_discriminator")
