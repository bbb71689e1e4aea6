"""What stands for a discriminator where a recipe has none: a network without weights."""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype


def pixel_features(side: int, dtype: Dtype = None) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `features` (b, side² / 4): means of 2 × 2 pixels."""
    images = keras.Input((side, side, 1))
    features = layers.Flatten(dtype="float32")(layers.AveragePooling2D(2, dtype=dtype)(images))
    return keras.Model(images, {"features": features}, name="pixel_features")
