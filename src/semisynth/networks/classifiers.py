"""Convolutional classifiers. All take float32 images (b, side, side, 1) in [-1, 1] and return float32 logits."""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype


def book_cnn(side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """The network of Patel, *Hands-On Unsupervised Learning Using Python* (2019), chapter 12.

    887,530 parameters at side 28 and 10 classes. `side` must be a multiple of 4.
    """
    same = {"padding": "same", "activation": "relu", "dtype": dtype}
    return keras.Sequential(
        [
            keras.Input((side, side, 1)),
            layers.Conv2D(32, 5, **same),
            layers.Conv2D(32, 5, **same),  # (b, side, side, 32)
            layers.MaxPooling2D(dtype=dtype),
            layers.Dropout(0.25, dtype=dtype),
            layers.Conv2D(64, 3, **same),
            layers.Conv2D(64, 3, **same),  # (b, side/2, side/2, 64)
            layers.MaxPooling2D(dtype=dtype),
            layers.Dropout(0.25, dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(256, activation="relu", dtype=dtype),
            layers.Dropout(0.5, dtype=dtype),
            layers.Dense(classes, dtype="float32"),
        ],
        name="book_cnn",
    )


def strided_cnn(side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """A small, fast network that measures: two strided convolutions, and a layer `features` (b, 128)."""
    same = {"padding": "same", "activation": "relu", "dtype": dtype}
    return keras.Sequential(
        [
            keras.Input((side, side, 1)),
            layers.Conv2D(32, 5, strides=2, **same),
            layers.Conv2D(64, 3, **same),  # (b, side/2, side/2, 64)
            layers.Conv2D(128, 3, strides=2, **same),  # (b, side/4, side/4, 128)
            layers.Flatten(dtype=dtype),
            layers.Dense(128, activation="relu", name="features", dtype=dtype),
            layers.Dropout(0.3, dtype=dtype),
            layers.Dense(classes, dtype="float32"),
        ],
        name="strided_cnn",
    )
