"""Every recipe by name or parts, and the network that detectors of anomalies look through."""

import keras

from semisynth.networks.dtype import Dtype
from semisynth.networks.pixel_features import pixel_features
from semisynth.synthesizers.composition import recipe_from
from semisynth.synthesizers.recipe import Recipe, Source
from semisynth.synthesizers.sampler import FAMILIES, Family


def described(source: Source) -> Recipe | Family:
    """The recipe of a name, or of a mapping of parts; SemisynthError on what is unknown."""
    family = FAMILIES.get(source) if isinstance(source, str) else None
    return family or recipe_from(source)


def discriminator_of(source: Source, side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """The recipe's discriminator with fresh weights; where it has none, a network that gives `features` alone."""
    recipe = described(source)
    return recipe.discriminator(side, classes, dtype) if isinstance(recipe, Recipe) else pixel_features(side)
