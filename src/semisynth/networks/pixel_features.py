"""What stands for a discriminator where a recipe has none: a network without weights."""

import keras
from keras import layers


def pixel_features(side: int) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `features` (b, side² / 4): means of 2 × 2 pixels.

    In float32 whatever the precision of other networks: pixels would lose digits.
    """
    images = keras.Input((side, side, 1))
    features = layers.Flatten(dtype="float32")(layers.AveragePooling2D(2, dtype="float32")(images))
    return keras.Model(images, {"features": features}, name="pixel_features")
