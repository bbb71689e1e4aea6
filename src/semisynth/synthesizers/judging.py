"""The network that detectors of anomalies look through, for every recipe."""

import keras

from semisynth.networks.dtype import Dtype
from semisynth.networks.pixel_features import pixel_features
from semisynth.synthesizers.recipes import recipe_by_name
from semisynth.synthesizers.sampler import FAMILIES


def discriminator_of(recipe: str, side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """The recipe's discriminator with fresh weights; where it has none, a network that gives `features` alone."""
    if recipe in FAMILIES:
        return pixel_features(side)
    return recipe_by_name(recipe).discriminator(side, classes, dtype)
