"""The trainings behind the benchmarks of anomalies, each kept by a digest of all that decides it."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from machine import ROOT
from numpy.typing import NDArray

import semisynth
from semisynth.augmentation.selection import select_confident
from semisynth.data.imageset import ImageSet
from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.labelling import Schedule, train_labeller
from semisynth.synthesizers.model import Synthesizer, load_synthesizer
from semisynth.synthesizers.training import train_synthesizer
from semisynth.training.precision import resolve_precision

KEPT = ROOT / ".semisynth" / "benchmarks"
# packages that training does not run
AFTER_TRAINING = {"anomaly", "quality", "reporting", "sampling", "scoring", "stages"}
BATCH_SIZE, PARTS = 64, 4
LABELLER_BATCH, LABELLER_PARTS, SURE = 192, 12, 0.9


def digest_of_code() -> str:
    """A digest of this file, of the sources that training runs, and of the versions of Keras and TensorFlow."""
    package = Path(semisynth.__file__).parent
    sources = (path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in AFTER_TRAINING)
    found = hashlib.sha256(repr((keras.__version__, tf.__version__)).encode())
    for path in (Path(__file__), *sorted(sources)):
        found.update(path.read_bytes())
    return found.hexdigest()


CODE = digest_of_code()  # of what is imported, whatever is edited later


@dataclass(frozen=True)
class Budget:
    """Updates of the two networks, and of the labeller where the recipe has one."""

    steps: int
    labeller_steps: int


def train(normal: NDArray[np.uint8], labelled: ImageSet, seed: int, recipe: str, budget: Budget) -> Synthesizer:
    """Train `recipe` on normal images, of which some are labelled, or load what the same training once gave.

    It is kept in .semisynth/benchmarks/, which may be deleted.
    """
    kept = KEPT / digest_of_training(normal, labelled, seed, recipe, budget)
    if kept.exists():
        return load_synthesizer(kept)
    synthesizer = trained(normal, labelled, seed, recipe, budget)
    synthesizer.save(kept)
    return synthesizer


def digest_of_training(
    normal: NDArray[np.uint8], labelled: ImageSet, seed: int, recipe: str, budget: Budget
) -> str:
    """A digest of what decides a training: images, settings, precision, sources and TensorFlow's version."""
    how = (seed, recipe, budget, labelled.class_names, resolve_precision("auto"), CODE)
    found = hashlib.sha256(repr(how).encode())
    for part in (normal, labelled.images, labelled.labels):
        found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:32]


def trained(normal: NDArray[np.uint8], labelled: ImageSet, seed: int, recipe: str, budget: Budget) -> Synthesizer:
    """Train `recipe` on normal images, of which some are labelled: the one place that knows how."""
    steps = -(-budget.steps // PARTS) * PARTS
    settings = {"steps": steps, "epochs": PARTS, "batch_size": BATCH_SIZE, "precision": resolve_precision("auto")}
    known, labeller, named = labelled, None, recipe_by_name(recipe)
    if named.learns_labels:
        labeller, known = learn_labels(normal, labelled, seed, budget.labeller_steps)
    return train_synthesizer(named, normal, known, seed=seed, labeller=labeller, **settings)[0]


def learn_labels(
    normal: NDArray[np.uint8], labelled: ImageSet, seed: int, steps: int
) -> tuple[keras.Model, ImageSet]:
    """Train the labeller as the pipeline does; return it, and the images whose label it is sure of."""
    part = -(-steps // LABELLER_PARTS)
    plan = Schedule(contrast=6 * part, rounds=3, steps=2 * part)
    how = {"epochs": LABELLER_PARTS, "batch_size": LABELLER_BATCH, "precision": resolve_precision("auto")}
    labeller, _, beliefs, _ = train_labeller(labelled, normal, plan, seed=seed, **how)
    chosen, labels, _ = select_confident(beliefs, threshold=SURE, per_class=len(normal), seed=seed)
    images = np.concatenate([labelled.images, normal[chosen]])
    return labeller, replace(labelled, images=images, labels=np.concatenate([labelled.labels, labels]))
