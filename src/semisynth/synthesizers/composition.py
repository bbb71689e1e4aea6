"""Recipes from their parts: the named ones, and those of a user's own, which exchange parts of a named one."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from semisynth.errors import SemisynthError
from semisynth.recipes import NAMED
from semisynth.synthesizers.objectives import LOSSES, Loss
from semisynth.synthesizers.pairs import CONDITIONINGS, PAIRS, Pair
from semisynth.synthesizers.recipe import OPTIMIZERS, Recipe, Source
from semisynth.synthesizers.stabilisers import Stabilisers

Parts = Mapping[str, Any]

OPTIONS = ["normalisation", "minibatch_discrimination"]  # of a discriminator
SLOPE = [field.name for field in fields(Loss)]
STABILISERS = [field.name for field in fields(Stabilisers)]
NUMBERS = ["generator_rate", "discriminator_rate", "class_weight", "ensemble"]
NAMES, FLAGS = (
    ["conditioning", "normalisation", "loss", "optimizer"],
    ["minibatch_discrimination", "feature_matching"],
)
RANGES, COUNTS = ["real_targets", "fake_targets"], ["replay", "ensemble"]
OF_NAMED = ["networks", "batch_size"]
PARTS = ["conditioning", *OPTIONS, "loss", *SLOPE, *STABILISERS, "optimizer", *NUMBERS]


def recipe_from(source: Source) -> Recipe:
    """The recipe of a name, or of a mapping: its `base`, a name, and the parts that differ from the base's.

    SemisynthError, with the nearest names, on what is unknown, and where the parts don't go together.
    """
    if isinstance(source, str):
        return recipe_by_name(source)
    parts = {key: value for key, value in source.items() if key != "base"}
    for key, value in parts.items():
        _check("part", key, PARTS)
        _check_type(key, value)
    base = recipe_by_name(str(source.get("base"))).name
    name = f"{base} with {', '.join(f'{key} {value}' for key, value in parts.items()) or 'nothing else'}"
    return composed(name, {**NAMED[base], **parts}, source)


def recipe_by_name(name: str) -> Recipe:
    """The recipe called `name`; SemisynthError with the nearest names where there is none."""
    if name in RECIPES:
        return RECIPES[name]
    near = get_close_matches(name, RECIPES, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"known recipes: {', '.join(RECIPES)}"
    raise SemisynthError(f"`train_synthesizer.recipe` names no recipe: `{name}`; {hint}")


def composed(name: str, parts: Parts, source: Source = "") -> Recipe:
    """The recipe of all its parts, as in `semisynth.recipes.NAMED`, called `name`; errors as of `recipe_from`."""
    for key in parts:
        _check("part", key, [*PARTS, *OF_NAMED])
    _check("networks", parts.get("networks"), PAIRS)
    _check("optimizer", parts.get("optimizer"), OPTIMIZERS)
    return Recipe(
        name=name,
        source=source,
        pair=_pair(PAIRS[parts["networks"]], parts),
        loss=_loss(parts),
        stabilisers=_stabilisers(parts),
        optimizer=OPTIMIZERS[parts["optimizer"]],
        **{key: parts[key] for key in [*NUMBERS, "batch_size"] if key in parts},
    )


def _pair(pair: Pair, parts: Parts) -> Pair:
    pair = pair.with_options(**{key: parts[key] for key in OPTIONS if key in parts})
    if "conditioning" not in parts:
        return pair
    _check("conditioning", parts["conditioning"], CONDITIONINGS)
    return pair.conditioned(parts["conditioning"])


def _loss(parts: Parts) -> Loss:
    name = parts.get("loss", "cross_entropy")
    _check("loss", name, LOSSES)
    return LOSSES[name](**{key: parts[key] for key in SLOPE if key in parts})


def _stabilisers(parts: Parts) -> Stabilisers:
    given = {key: parts[key] for key in STABILISERS if key in parts}
    ranges: dict[str, Any] = {key: tuple(given[key]) for key in RANGES if key in given}
    return Stabilisers(**given | ranges)


def _check_type(key: str, value: Any) -> None:
    """Raise SemisynthError on a value of another type: a bundle's, since those of params.yaml were checked."""
    if key in NAMES:
        fits, expected = isinstance(value, str), "a name"
    elif key in FLAGS:
        fits, expected = isinstance(value, bool), "true or false"
    elif key in RANGES:
        fits = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
        expected = "two numbers"
    elif key in COUNTS:
        fits, expected = _is_number(value) and isinstance(value, int), "a whole number"
    else:
        fits, expected = _is_number(value), "a number"
    if not fits:
        raise SemisynthError(f"`train_synthesizer.recipe.{key}`: expected {expected}, received {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(what: str, name: Any, known: Iterable[str]) -> None:
    if name not in known:
        near = get_close_matches(str(name), known, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
        raise SemisynthError(f"`train_synthesizer.recipe` names no {what}: `{name}`; {hint}")


RECIPES = {name: composed(name, parts) for name, parts in NAMED.items()}
