"""The first GAN (Goodfellow 2014, arXiv 1406.2661): dense, one hidden layer each."""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype
from semisynth.networks.heads import judgement

LATENT_SIZE = 20  # uniform in [-1, 1]
HIDDEN = 100


def generator(side: int, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, 20) to images float32 (b, side, side, 1) in [-1, 1].

    81,184 parameters at side 28.
    """
    latent = keras.Input((LATENT_SIZE,), name="latent")
    x = layers.Dense(HIDDEN, use_bias=False, dtype=dtype)(latent)
    x = layers.LeakyReLU(0.3, dtype=dtype)(x)
    x = layers.Dense(side * side, activation="tanh", dtype="float32")(x)
    return keras.Model([latent], layers.Reshape((side, side, 1), dtype="float32")(x), name="vanilla_gan_generator")


def discriminator(side: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `realness` logits (b,), and `features` (b, 100).

    78,601 parameters at side 28, without `minibatch_discrimination`.
    """
    images = keras.Input((side, side, 1))
    x = layers.Dense(HIDDEN, dtype=dtype)(layers.Flatten(dtype=dtype)(images))
    features = layers.LeakyReLU(0.3, name="features", dtype=dtype)(x)
    x = layers.Dropout(0.5, dtype=dtype)(features)
    return keras.Model(
        images, judgement(x, features, dtype, minibatch_discrimination), name="vanilla_gan_discriminator"
    )
