"""Recipes by name: which networks, which optimizer, which losses. A recipe composes; it trains nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import keras

from semisynth.errors import SemisynthError
from semisynth.networks import acgan, dcgan, semi_acgan
from semisynth.networks.dtype import Dtype

BuildOptimizer = Callable[[float, float], keras.optimizers.Optimizer]


@dataclass(frozen=True)
class Recipe:
    """A generative adversarial recipe.

    `generator` and `discriminator` build from (side, classes, dtype); every discriminator gives `realness` and
    `features`, and `classes` where the recipe has them. `conditioning` says whether the generator takes a class
    beside the latent, and how the discriminator judges it: by a head `classes` of its own (auxiliary), or by
    realness logits `by_class` as well (projection) of its part `critic`, while its part `labeller`, trained first,
    gives it the classes. `class_weight` is that of the generator's class loss. `optimizer` builds from a
    learning rate and the momentum of the averaged weights (0: none).
    """

    name: str
    generator: Callable[[int, int, Dtype], keras.Model]
    discriminator: Callable[[int, int, Dtype], keras.Model]
    optimizer: BuildOptimizer
    latent_size: int
    conditioning: Literal["none", "auxiliary", "projection"]
    generator_rate: float
    discriminator_rate: float
    real_target: float = 1.0
    class_weight: float = 1.0

    @property
    def conditional(self) -> bool:
        """Whether images are drawn by class, and the discriminator tells classes."""
        return self.conditioning != "none"

    @property
    def learns_labels(self) -> bool:
        """Whether a labeller of its own learns the classes from labelled and unlabelled images."""
        return self.conditioning == "projection"

    def adversary(self, discriminator: keras.Model) -> keras.Model:
        """The part of a built discriminator that trains against the generator."""
        return discriminator.get_layer(semi_acgan.CRITIC) if self.learns_labels else discriminator


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
            conditioning="auxiliary",
            generator_rate=0.0002,
            discriminator_rate=0.0002,
            real_target=0.95,
        ),
        Recipe(
            name="semi_acgan",
            generator=semi_acgan.generator,
            discriminator=semi_acgan.discriminator,
            optimizer=_adam,
            latent_size=semi_acgan.LATENT_SIZE,
            conditioning="projection",
            generator_rate=0.0008,
            discriminator_rate=0.0008,
            class_weight=0.3,
        ),
        Recipe(
            name="dcgan",
            generator=lambda side, _, dtype: dcgan.generator(side, dtype),
            discriminator=lambda side, _, dtype: dcgan.discriminator(side, dtype),
            optimizer=_rmsprop,
            latent_size=dcgan.LATENT_SIZE,
            conditioning="none",
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
