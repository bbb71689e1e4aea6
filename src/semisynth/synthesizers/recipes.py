"""Recipes by name: which networks, which optimizer, which losses. A recipe composes; it trains nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import keras

from semisynth.errors import SemisynthError
from semisynth.networks import acgan, dcgan
from semisynth.networks.dtype import Dtype

BuildOptimizer = Callable[[float, float], keras.optimizers.Optimizer]


@dataclass(frozen=True)
class Recipe:
    """A generative adversarial recipe.

    `generator` and `discriminator` build from (side, classes, dtype). `conditional` says that the generator
    takes a class beside the latent, and that the discriminator has a head `classes`; every discriminator also
    gives `realness` and `features`. `optimizer` builds from a
    learning rate and the momentum of the averaged weights (0: none).
    """

    name: str
    generator: Callable[[int, int, Dtype], keras.Model]
    discriminator: Callable[[int, int, Dtype], keras.Model]
    optimizer: BuildOptimizer
    latent_size: int
    conditional: bool
    generator_rate: float
    discriminator_rate: float
    real_target: float = 1.0


def _averaged(momentum: float) -> dict[str, bool | float]:
    return {"use_ema": True, "ema_momentum": momentum} if momentum else {}


def _adam(rate: float, momentum: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(rate, beta_1=0.5, **_averaged(momentum))


def _rmsprop(rate: float, momentum: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.RMSprop(rate, **_averaged(momentum))


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="acgan",
            generator=acgan.generator,
            discriminator=acgan.discriminator,
            optimizer=_adam,
            latent_size=acgan.LATENT_SIZE,
            conditional=True,
            generator_rate=0.0002,
            discriminator_rate=0.0002,
            real_target=0.95,
        ),
        Recipe(
            name="dcgan",
            generator=lambda side, _, dtype: dcgan.generator(side, dtype),
            discriminator=lambda side, _, dtype: dcgan.discriminator(side, dtype),
            optimizer=_rmsprop,
            latent_size=dcgan.LATENT_SIZE,
            conditional=False,
            generator_rate=0.0001,
            discriminator_rate=0.0002,
        ),
    )
}


def recipe_by_name(name: str) -> Recipe:
    """The recipe called `name`; SemisynthError with the nearest names where there is none."""
    if name in RECIPES:
        return RECIPES[name]
    near = get_close_matches(name, RECIPES, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"known recipes: {', '.join(RECIPES)}"
    raise SemisynthError(f"params.yaml: `train_synthesizer.recipe` names no recipe: `{name}`; {hint}")
