"""Convolutional classifiers. All take float32 images (b, side, side, 1) in [-1, 1] and return float32 logits."""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype
from semisynth.networks.normalisation import FusedBatchNormalization


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


def normalised_cnn(side: int, classes: int, dtype: Dtype = None, *, width: int = 1) -> keras.Model:
    """A network in the manner of `book_cnn` that learns more from many images in the same time.

    Pooled after its first convolution, as maps of the full side cost a processor the most, and normalised after
    each (Ioffe and Szegedy 2015, arXiv 1502.03167). Where it is pooled, whole maps are dropped in training, which
    takes fewer random numbers than single places do (Tompson et al. 2015, arXiv 1411.4280). 220,634 parameters at
    side 28 and 10 classes, 416 of them moving averages. `width` times as many filters.
    """
    x = images = keras.Input((side, side, 1))
    for filters, size, pooled in ((16, 5, True), (32, 3, False), (32, 3, True), (64, 3, False), (64, 3, True)):
        x = layers.Conv2D(width * filters, size, padding="same", use_bias=False, dtype=dtype)(x)
        x = FusedBatchNormalization(0.9)(x)
        if pooled and x.shape[1] > 1:
            x = layers.SpatialDropout2D(0.1, dtype=dtype)(layers.MaxPooling2D(dtype=dtype)(x))
        x = layers.ReLU(dtype=dtype)(x)  # the same before the pooling, where it is more work
    x = layers.Dense(256, activation="relu", dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    x = layers.Dropout(0.5, dtype=dtype)(x)
    return keras.Model(images, layers.Dense(classes, dtype="float32")(x), name="normalised_cnn")


def wide_cnn(side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """`normalised_cnn` with twice the filters: 576,682 parameters at side 28 and 10 classes. For many labels."""
    network = normalised_cnn(side, classes, dtype, width=2)
    network.name = "wide_cnn"
    return network


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
