"""Fits the classifiers of a stage so that nothing is done twice, and keeps which of them is best."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from semisynth.classifiers.base import Classifier
from semisynth.classifiers.crossval import cross_validated_accuracy
from semisynth.classifiers.registry import NAMES, SIDE_BY_SIDE, load_classifier
from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.files import read_json, write_json
from semisynth.training.side_by_side import side_by_side

SELECTION_FILE = "selection.json"
UNRANKED_BEST = "cnn"

Make = Callable[[], Classifier]
Result = TypeVar("Result")


class Job(NamedTuple, Generic[Result]):
    """`run` fits or validates the classifier called `name`, and takes the longer the more `images` there are."""

    name: str
    images: int
    run: Callable[[], Result]


def fit_or_reuse(make: Make, data: ImageSet, folder: Path) -> Path:
    """Fit what `make` builds to `data`, unless that was done; return the bundle, which lies in `folder`.

    `folder` belongs to this one fit and outlives an interruption: a fit that was cut off goes on.
    """
    bundle = folder / "bundle"
    if not bundle.exists():
        make().fit(data.images, data.labels, resume=folder / "state").save(bundle)
    return bundle


def run_each(jobs: Mapping[str, Job[Result]]) -> Iterator[tuple[str, Result]]:
    """Yield each key with what its job returns, when it is there.

    First those that need all cores, one after the other, then the others side by side.
    """
    for key, job in jobs.items():
        if job.name not in SIDE_BY_SIDE:
            yield key, job.run()
    others = [item for item in jobs.items() if item[1].name in SIDE_BY_SIDE]
    # The longest first, so that no core waits for the last one: networks, then those with the most images.
    others.sort(key=lambda item: (item[1].name != "cnn", -item[1].images))
    yield from side_by_side({key: job.run for key, job in others})


def validate_or_reuse(
    make: Make, data: ImageSet, folder: Path, *, folds: int, most_images: int, seed: int
) -> float | None:
    """`cross_validated_accuracy` on `data`, unless it was measured before: then as `folder` has it."""
    path = folder / "cross_validation.json"
    if not path.exists():
        accuracy = cross_validated_accuracy(
            make, data.images, data.labels, folds=folds, most_images=most_images, seed=seed
        )
        write_json(path, {"accuracy": accuracy})
    measured: float | None = read_json(path)["accuracy"]
    return measured


def copy_bundles(bundles: Mapping[str, Path], folder: Path) -> None:
    """Copy each bundle to its name below `folder`; a name may hold a slash."""
    for name, bundle in bundles.items():
        shutil.copytree(bundle, folder / name)


def best_of(accuracies: Mapping[str, float | None]) -> str:
    """Find the name with the highest accuracy, the first of equals; the network where nothing was measured."""
    measured = {name: accuracy for name, accuracy in accuracies.items() if accuracy is not None}
    return max(measured, key=measured.__getitem__) if measured else UNRANKED_BEST


def save_selection(models: Path, accuracies: Mapping[str, float | None]) -> None:
    """Write into `models` which classifier is best, and the accuracies that say so."""
    write_json(
        models / SELECTION_FILE, {"best": best_of(accuracies), "cross_validation_accuracy": dict(accuracies)}
    )


def load_best(models: Path) -> Classifier:
    """Load the best of the baseline's classifiers; SemisynthError where `models` doesn't tell which that is."""
    path = models / SELECTION_FILE
    if not path.exists():
        raise SemisynthError(f"{path}: no such file; run the stage that writes it first (`dvc repro`)")
    try:
        best = read_json(path)["best"]
    except (ValueError, KeyError, TypeError) as error:
        raise SemisynthError(f"{path}: does not name the best classifier ({error!r})") from error
    if best not in NAMES:
        raise SemisynthError(f"{path}: `best` must be one of {', '.join(NAMES)}, received {best!r}")
    return load_classifier(models / best)
