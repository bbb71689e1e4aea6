"""Classifiers by the names of params.yaml."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

from semisynth.classifiers.base import KIND, Classifier
from semisynth.classifiers.cnn import CnnClassifier, CnnSettings
from semisynth.classifiers.lightgbm import LightgbmClassifier, LightgbmSettings
from semisynth.classifiers.logistic import LogisticClassifier, LogisticSettings
from semisynth.classifiers.svm import SvmClassifier, SvmSettings
from semisynth.errors import SemisynthError
from semisynth.training.budget import update_steps
from semisynth.training.bundle import load_bundle
from semisynth.training.precision import resolve_precision

Loadable: TypeAlias = type[CnnClassifier | LightgbmClassifier | SvmClassifier | LogisticClassifier]

class_of_name: dict[str, Loadable] = {
    "cnn": CnnClassifier,
    "lightgbm": LightgbmClassifier,
    "svm": SvmClassifier,
    "logistic": LogisticClassifier,
}
NAMES = tuple(class_of_name)
SIDE_BY_SIDE = ("cnn", "lightgbm", "svm")  # logistic regression keeps all cores busy by itself


def build_classifier(
    name: str, *, settings: Mapping[str, Any], seed: int, side: int, classes: int, pool: int, labelled: int
) -> Classifier:
    """Build an untrained classifier; `settings` maps each name to its own settings, as params.yaml does.

    `side` in pixels; `pool` counts all training images of the data set and bounds the network's budget, which
    `labelled`, the number of labelled images of the run, may raise.
    Raises SemisynthError for an unknown name.
    """
    _check_name(name)
    shared: dict[str, Any] = {"seed": seed, "side": side, "classes": classes}
    match name:
        case "cnn":
            return CnnClassifier(CnnSettings(**shared, **_resolved(settings[name], pool, labelled)))
        case "lightgbm":
            return LightgbmClassifier(LightgbmSettings(**shared, **settings[name]))
        case "svm":
            return SvmClassifier(SvmSettings(**shared, **settings[name]))
        case _:
            return LogisticClassifier(LogisticSettings(**shared, **settings[name]))


def load_classifier(folder: Path) -> Classifier:
    """Rebuild a trained classifier; SemisynthError where its bundle is missing, damaged or not a classifier's."""
    bundle = load_bundle(folder, KIND)
    name = str(bundle.settings.get("name"))
    _check_name(name, f"{folder}: ")
    return class_of_name[name].load(bundle)


def _resolved(budget: Mapping[str, Any], pool: int, labelled: int) -> dict[str, Any]:
    """Turn the budget into a network and a number of steps, and the precision into what this device has."""
    many = labelled >= budget["many_labels"]
    batch_size = budget["batch_size"]
    most = max(budget["max_steps"], math.ceil(budget["labelled_passes"] * labelled / batch_size))
    return {
        "steps": update_steps(most, budget["max_passes"], pool, batch_size),
        "network": budget["network_of_many"] if many else budget["network"],
        "batch_size": batch_size,
        "learning_rate": budget["learning_rate"],
        "precision": resolve_precision(budget["precision"]),
    }


def _check_name(name: str, where: str = "") -> None:
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        hint = f", did you mean `{near[0]}`?" if near else ""
        raise SemisynthError(f"{where}classifier `{name}` is unknown, expected one of {', '.join(NAMES)}{hint}")
