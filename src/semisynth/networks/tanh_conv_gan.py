"""A convolutional GAN that is tanh throughout, with up-sampling in place of transposed convolutions."""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype
from semisynth.networks.heads import judgement
from semisynth.networks.sizes import quarter

LATENT_SIZE = 100  # uniform in [-1, 1]
RECIPE = "tanh_conv_gan"


def generator(side: int, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, 100) to images float32 (b, side, side, 1) in [-1, 1]; `side` a multiple of 4."""
    base = quarter(RECIPE, side)
    latent = keras.Input((LATENT_SIZE,), name="latent")
    x = layers.Dense(1024, activation="tanh", dtype=dtype)(latent)
    x = layers.Dense(base * base * 128, dtype=dtype)(x)
    x = layers.Activation("tanh", dtype=dtype)(layers.BatchNormalization(dtype=dtype)(x))
    x = layers.Reshape((base, base, 128), dtype=dtype)(x)
    x = layers.UpSampling2D(dtype=dtype)(x)
    x = layers.Conv2D(64, 5, padding="same", activation="tanh", dtype=dtype)(x)  # (b, side/2, side/2, 64)
    x = layers.UpSampling2D(dtype=dtype)(x)
    x = layers.Conv2D(1, 5, padding="same", dtype=dtype)(x)  # (b, side, side, 1)
    return keras.Model([latent], layers.Activation("tanh", dtype="float32")(x), name=f"{RECIPE}_generator")


def discriminator(side: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `realness` logits (b,), and `features` (b, 1024).

    The second convolution is unpadded, so `side` must be a multiple of 4 from 12 on.
    """
    quarter(RECIPE, side, least=3)
    images = keras.Input((side, side, 1))
    x = layers.Conv2D(64, 5, padding="same", activation="tanh", dtype=dtype)(images)
    x = layers.MaxPooling2D(dtype=dtype)(x)  # (b, side/2, side/2, 64)
    x = layers.Conv2D(128, 5, activation="tanh", dtype=dtype)(x)
    x = layers.MaxPooling2D(dtype=dtype)(x)  # (b, side/4 - 2, side/4 - 2, 128)
    x = layers.Flatten(dtype=dtype)(x)
    features = layers.Dense(1024, activation="tanh", name="features", dtype=dtype)(x)
    outputs = judgement(features, features, dtype, minibatch_discrimination)
    return keras.Model(images, outputs, name=f"{RECIPE}_discriminator")
