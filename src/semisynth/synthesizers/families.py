"""Synthesizers of every family: what trains each, measures how likely it finds images, and loads it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet
from semisynth.errors import UsageError
from semisynth.synthesizers.ensembles import train_ensemble
from semisynth.synthesizers.model import KIND, load_synthesizer
from semisynth.synthesizers.patches import unigram_entropy
from semisynth.synthesizers.recipe import Recipe
from semisynth.synthesizers.sampler import Family, Sampler
from semisynth.synthesizers.sequence_sampler import SequenceSampler, load_sequences
from semisynth.synthesizers.sequences import train_lstm
from semisynth.synthesizers.training import train_synthesizer
from semisynth.synthesizers.variational import VariationalSampler, load_variational, train_vae
from semisynth.training.bundle import load_bundle
from semisynth.training.checkpoint import History

LOADERS: dict[str, Callable[[Path], Sampler]] = {
    "vae": load_variational,
    "cvae": load_variational,
    "lstm": load_sequences,
}


def train_any(
    recipe: Recipe | Family,
    real: NDArray[np.uint8],
    taught: ImageSet,
    labeller: keras.Model | None,
    *,
    of_lstm: Mapping[str, Any],
    of_vae: Mapping[str, Any],
    **budget: Any,
) -> tuple[Sampler, History]:
    """Train by the recipe's family on all images `real` uint8 (n, side, side), and those `taught` with a class.

    `budget` holds what `train_synthesizer` takes by keyword, `of_lstm` and `of_vae` what `train_lstm` and
    `train_vae` take beside it.
    """
    if isinstance(recipe, Recipe):
        train = train_ensemble if recipe.ensemble > 1 else train_synthesizer
        return train(recipe, real, taught, labeller=labeller, **budget)
    if recipe.name == "lstm":
        return train_lstm(real, taught, **of_lstm, **budget)
    return train_vae(recipe.name, real, taught, **of_vae, **budget)


def likelihood_of(trained: Sampler, known: ImageSet) -> dict[str, float]:
    """How likely the model finds labelled images, where it can tell: nats an image at least, or bits a patch.

    Beside the bits stands the entropy of the frequencies of the same patches, which knows no order.
    """
    if isinstance(trained, VariationalSampler):
        return {"evidence_bound": float(trained.evidence_bound(known.images, known.labels).mean())}
    if isinstance(trained, SequenceSampler):
        bits = trained.bits_per_token(known.images, known.labels)
        return {"bits_per_token": bits, "unigram_entropy": unigram_entropy(trained.codebook.tokens(known.images))}
    return {}


def at_temperature(trained: Sampler, temperature: float | None) -> Sampler:
    """The model at another temperature, or as it is at None; UsageError below 0, and where it has none."""
    if temperature is None:
        return trained
    if not isinstance(trained, SequenceSampler):
        raise UsageError(
            f"`--temperature`: recipe `{trained.recipe.name}` has none, `lstm` alone does; leave the option out"
        )
    if not 0 <= temperature < math.inf:
        raise UsageError(f"`--temperature`: expected a temperature of 0 or more, received {temperature}")
    return replace(trained, temperature=temperature)


def load_sampler(folder: Path) -> Sampler:
    """The synthesizer in `folder`, of the family that its recipe belongs to; SemisynthError if it is damaged."""
    recipe = str(load_bundle(folder, KIND).settings.get("recipe"))
    return LOADERS.get(recipe, load_synthesizer)(folder)
