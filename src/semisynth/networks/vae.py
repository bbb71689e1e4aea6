"""A variational autoencoder's two dense networks (Kingma and Welling 2014, arXiv 1312.6114).

`classes` of 0 builds them without classes; else the one-hot class is concatenated to the image and to the
latent (Kingma 2014, arXiv 1406.5298).
"""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype

LATENT_SIZE = 2  # 2 for a picture of the manifold, 16 for better images
HIDDEN = 512


def encoder(side: int, classes: int = 0, latent_size: int = LATENT_SIZE, dtype: Dtype = None) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `mean` and `log_variance`, float32 (b, latent_size)."""
    images = keras.Input((side, side, 1), name="image")
    inputs, x = _with_class(images, layers.Flatten(dtype=dtype)(images), classes, dtype)
    x = layers.Dense(HIDDEN, activation="relu", dtype=dtype)(x)
    outputs = {name: layers.Dense(latent_size, dtype="float32")(x) for name in ("mean", "log_variance")}
    return keras.Model(inputs, outputs, name="vae_encoder")


def decoder(side: int, classes: int = 0, latent_size: int = LATENT_SIZE, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, latent_size) to logits float32 (b, side, side, 1), whose sigmoid is in [0, 1]."""
    latent = keras.Input((latent_size,), name="latent")
    inputs, x = _with_class(latent, latent, classes, dtype)
    x = layers.Dense(HIDDEN, activation="relu", dtype=dtype)(x)
    x = layers.Dense(side * side, dtype="float32")(x)
    return keras.Model(inputs, layers.Reshape((side, side, 1), dtype="float32")(x), name="vae_decoder")


def generator(decoder: keras.Model) -> keras.Model:
    """Give `decoder`'s images float32 (b, side, side, 1) in [-1, 1], as other generators do; it shares weights."""
    images = layers.Rescaling(2.0, -1.0, dtype="float32")(keras.ops.sigmoid(decoder.output))
    return keras.Model(decoder.inputs, images, name="vae_generator")


def latent_of(
    mean: keras.KerasTensor, log_variance: keras.KerasTensor, noise: keras.KerasTensor
) -> keras.KerasTensor:
    """Turn standard normal `noise` (b, latent) into draws from N(mean, exp(log_variance)); gradients pass."""
    return mean + keras.ops.exp(log_variance / 2) * noise


def _with_class(
    source: keras.KerasTensor, x: keras.KerasTensor, classes: int, dtype: Dtype
) -> tuple[list[keras.KerasTensor], keras.KerasTensor]:
    """Give the inputs, and `x` with the one-hot class beside it where there are classes."""
    if not classes:
        return [source], x
    label = keras.Input((), dtype="int32", name="label")
    return [source, label], layers.Concatenate(dtype=dtype)([x, keras.ops.one_hot(label, classes)])
