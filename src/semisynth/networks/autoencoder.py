"""Autoencoders: images float32 (b, side, side, 1) in [-1, 1] to their reconstructions; layer `code` between.

They score anomalies by what they can't reconstruct, and sample nothing.
"""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype

NOISE = 0.6  # standard deviation, in pixels of [-1, 1]


def undercomplete(side: int, code: int = 32, dtype: Dtype = None) -> keras.Model:
    """Through one hidden layer of 128 to a `code` smaller than the image, and back (b, side, side, 1) in [-1, 1].

    Raises ValueError where the code is not smaller. Hinton and Salakhutdinov 2006, doi 10.1126/science.1127647.
    """
    _check(0 < code < side * side, f"a code smaller than the image's {side * side} pixels", code)
    images, x = _input(side, dtype)
    x = layers.Dense(128, activation="relu", dtype=dtype)(x)
    x = layers.Dense(code, activation="relu", name="code", dtype=dtype)(x)
    x = layers.Dense(128, activation="relu", dtype=dtype)(x)
    return _output(images, x, side, "tanh", "undercomplete_autoencoder")


def denoising(side: int, code: int = 1000, noise: float = NOISE, dtype: Dtype = None) -> keras.Model:
    """To a `code` larger than the image, from an image with noise of deviation `noise` in training alone.

    Noise keeps it from being the identity (Vincent 2008, doi 10.1145/1390156.1390294). Raises ValueError
    where the code is not larger, or `noise` not positive.
    """
    _check(code > side * side, f"a code larger than the image's {side * side} pixels", code)
    _check(noise > 0, "noise above 0", noise)
    images, x = _input(side, dtype)
    x = layers.GaussianNoise(noise, dtype=dtype)(x)
    x = layers.Dense(code, activation="relu", name="code", dtype=dtype)(x)
    return _output(images, x, side, "tanh", "denoising_autoencoder")


def linear(side: int, code: int = 32, dtype: Dtype = None) -> keras.Model:
    """Without activations: trained on squared errors, its outputs span the plane of `code` principal components.

    (Baldi and Hornik 1989, doi 10.1016/0893-6080(89)90014-2.) Outputs are not bounded.
    """
    _check(0 < code < side * side, f"a code smaller than the image's {side * side} pixels", code)
    images, x = _input(side, dtype)
    x = layers.Dense(code, name="code", dtype=dtype)(x)
    return _output(images, x, side, "linear", "linear_autoencoder")


def _input(side: int, dtype: Dtype) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    images = keras.Input((side, side, 1))
    return images, layers.Flatten(dtype=dtype)(images)


def _output(images: keras.KerasTensor, x: keras.KerasTensor, side: int, activation: str, name: str) -> keras.Model:
    x = layers.Dense(side * side, activation=activation, dtype="float32")(x)
    return keras.Model(images, layers.Reshape((side, side, 1), dtype="float32")(x), name=name)


def _check(holds: bool, expected: str, received: float) -> None:
    if not holds:
        raise ValueError(f"expected {expected}, received {received}")
