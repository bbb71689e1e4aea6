"""A small strided network that tells classes, and learns from two views of an image which images are alike."""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype

FEATURES, PROJECTION = 256, 64


def labeller(side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to a dict of float32 outputs.

    `classes`: logits (b, k). `features` (b, 256), which both heads read. `projection` (b, 64), for the contrastive
    loss alone (Chen 2020, arXiv 2002.05709, section 4.2: features before such a head are the better ones).
    Strides come early: large maps cost a processor the most, and normalisation there more than it brings.
    """
    x = images = keras.Input((side, side, 1))
    for filters, size, strides in ((32, 5, 2), (64, 3, 2), (128, 3, 1), (128, 3, 1)):
        x = layers.Conv2D(filters, size, strides=strides, padding="same", dtype=dtype)(x)
        x = layers.LeakyReLU(0.1, dtype=dtype)(x)
    x = layers.Dense(FEATURES, dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    x = layers.BatchNormalization(momentum=0.9, dtype="float32")(x)
    features = layers.LeakyReLU(0.1, name="features", dtype="float32")(x)
    logits = layers.Dense(classes, dtype="float32")(features)
    hidden = layers.Dense(128, activation="relu", dtype="float32")(features)
    projection = layers.Dense(PROJECTION, dtype="float32")(hidden)
    return keras.Model(
        images, {"classes": logits, "features": features, "projection": projection}, name="labeller"
    )
