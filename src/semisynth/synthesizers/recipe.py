"""What a recipe is: which networks, which loss, which stabilisers. It composes; it trains nothing itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.networks.dtype import Dtype
from semisynth.networks.ensemble import pooled
from semisynth.synthesizers.conditioning import Conditioning
from semisynth.synthesizers.objectives import CrossEntropy, Loss
from semisynth.synthesizers.pairs import Pair
from semisynth.synthesizers.stabilisers import Stabilisers
from semisynth.training.optimizing import FusedAdam

BuildOptimizer = Callable[[float, float], keras.optimizers.Optimizer]
Source = str | Mapping[str, Any]

LARGEST_ENSEMBLE = 16


@dataclass(frozen=True)
class Recipe:
    """A generative adversarial recipe: a pair of networks, with its conditioning, a loss, and stabilisers.

    Every discriminator gives `realness` and `features`, and `classes` where the conditioning tells them.
    `class_weight` is that of the generator's class loss. `optimizer` builds from a learning rate and the momentum
    of the averaged weights (0: none). `batch_size` and the rates are the recipe's own, where parameters give none.
    An `ensemble` of more than 1 trains so many pairs, each from a seed of its own, whose generators are pooled.
    `source` is what `composition.recipe_from` makes it from again; "" stands for the name.
    SemisynthError where the parts don't go together.
    """

    name: str
    pair: Pair
    optimizer: BuildOptimizer
    generator_rate: float
    discriminator_rate: float
    loss: Loss = field(default_factory=CrossEntropy)
    stabilisers: Stabilisers = field(default_factory=Stabilisers)
    class_weight: float = 1.0
    batch_size: int = 64
    ensemble: int = 1
    source: Source = ""

    def __post_init__(self) -> None:
        refuse = f"recipe `{self.name}`: "
        if not 1 <= self.ensemble <= LARGEST_ENSEMBLE:
            raise SemisynthError(
                f"{refuse}`ensemble` of 1 to {LARGEST_ENSEMBLE} expected, received {self.ensemble}"
            )
        self._check_classes(refuse)
        if self.loss.gradient_penalty and self.pair.compares_images:
            raise SemisynthError(
                f"{refuse}a gradient penalty holds each image's own logit; expected `normalisation` layer or none "
                f"and no minibatch discrimination, received {dict(self.pair.options)}"
            )
        if self.stabilisers.softens_targets and not self.loss.takes_targets:
            raise SemisynthError(
                f"{refuse}soft targets go with cross-entropy; expected `real_targets` 1 and `fake_targets` 0, "
                f"received {self.stabilisers.real_targets} and {self.stabilisers.fake_targets}"
            )
        if self.loss.needs_slope and not (self.loss.gradient_penalty or self.loss.clip):
            raise SemisynthError(
                f"{refuse}the Wasserstein loss needs `gradient_penalty` or `clip`, received neither"
            )
        if self.loss.clip and self.learns_classes:
            raise SemisynthError(
                f"{refuse}weights so small tell no classes apart; expected `gradient_penalty` in place of `clip`, "
                f"or a recipe that learns no classes, received `clip` {self.loss.clip}"
            )
        if self.loss.gradient_penalty and self.loss.clip:
            raise SemisynthError(
                f"{refuse}small weights don't reach the slope that a penalty asks for; expected "
                f"`gradient_penalty` 0 or `clip` 0, received {self.loss.gradient_penalty} and {self.loss.clip}"
            )

    def _check_classes(self, refuse: str) -> None:
        """Raise SemisynthError where nothing tells the generator which class it was asked for."""
        told = self.conditioning.tells_classes and self.class_weight > 0
        judged = self.conditioning.judges_by_class and not self.stabilisers.feature_matching
        if self.conditional and not (told or judged):
            raise SemisynthError(
                f"{refuse}nothing would teach the generator its classes; expected "
                f"{'`class_weight` above 0' if self.conditioning.tells_classes else 'no `feature_matching`'}"
            )
        if self.class_weight != 1 and not (self.conditional and self.conditioning.tells_classes):
            raise SemisynthError(
                f"{refuse}`class_weight` is for generators that draw classes which the discriminator tells, "
                f"received {self.class_weight}"
            )
        if self.conditioning.judges_by_class and self.loss.gradient_penalty:
            raise SemisynthError(
                f"{refuse}realness is judged by class, and a gradient penalty would mix the classes; expected "
                f"`gradient_penalty` 0, received {self.loss.gradient_penalty}"
            )

    @property
    def conditioning(self) -> Conditioning:
        """Where classes come in: that which the networks are made for."""
        return self.pair.conditioning

    @property
    def learns_classes(self) -> bool:
        """Whether labels come in at all."""
        return self.conditioning.labelled != "nowhere"

    @property
    def has_latent_space(self) -> bool:
        """Whether latents that are near each other give like images: as far as generators go, they do."""
        return True

    @property
    def conditional(self) -> bool:
        """Whether images are drawn by class."""
        return self.conditioning.draws_classes

    @property
    def latent_size(self) -> int:
        """Numbers in a latent; the last one of an ensemble's chooses the member."""
        return self.pair.latent_size + (self.ensemble > 1)

    @property
    def latent(self) -> Literal["normal", "uniform"]:
        """How a latent's numbers are distributed: normal, or uniform in [-1, 1]."""
        return self.pair.latent

    @property
    def measures_nats(self) -> bool:
        """Whether all losses are cross-entropies."""
        return isinstance(self.loss, CrossEntropy) and not self.stabilisers.feature_matching

    @property
    def learns_labels(self) -> bool:
        """Whether a labeller of its own learns the classes from labelled and unlabelled images."""
        return self.pair.critic is not None

    def sampled_latents(self, count: int, random: np.random.Generator) -> NDArray[np.float32]:
        """Latents float32 (count, latent) for sampling."""
        shape = (count, self.latent_size)
        if self.latent == "uniform":
            return random.random(shape, np.float32) * 2 - 1
        return random.standard_normal(shape, np.float32)

    def generator(self, side: int, classes: int, dtype: Dtype = None) -> keras.Model:
        """The generator with fresh weights, of an ensemble all; SemisynthError where it can't make this side."""
        members = [self.pair.build_generator(side, classes, dtype) for _ in range(self.ensemble)]
        return pooled(members, self.latent) if self.ensemble > 1 else members[0]

    def discriminator(self, side: int, classes: int, dtype: Dtype = None) -> keras.Model:
        """The discriminator with fresh weights; SemisynthError where it can't judge this side."""
        return self.pair.build_discriminator(side, classes, dtype)

    def adversary(self, discriminator: keras.Model) -> keras.Model:
        """The part of a built discriminator that trains against the generator."""
        return discriminator.get_layer(self.pair.critic) if self.pair.critic else discriminator


def _averaged(momentum: float) -> dict[str, bool | float]:
    return {"use_ema": True, "ema_momentum": momentum} if momentum else {}


def _adam(rate: float, momentum: float) -> keras.optimizers.Optimizer:
    return FusedAdam(rate, beta_1=0.5, **_averaged(momentum))


def _rmsprop(rate: float, momentum: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.RMSprop(rate, **_averaged(momentum))


def _nesterov(rate: float, momentum: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **_averaged(momentum))


OPTIMIZERS: dict[str, BuildOptimizer] = {"adam": _adam, "rmsprop": _rmsprop, "nesterov": _nesterov}
