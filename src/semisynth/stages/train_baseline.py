"""Train every classifier on the labelled images alone."""

from functools import partial
from pathlib import Path
from typing import Any

from semisynth.classifiers.fitting import (
    Job,
    best_of,
    copy_bundles,
    fit_or_reuse,
    run_each,
    save_selection,
    validate_or_reuse,
)
from semisynth.classifiers.registry import NAMES, build_classifier
from semisynth.data.imageset import load_images
from semisynth.files import replacing_folder, write_json
from semisynth.params import load_params
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.training.precision import resolve_precision
from semisynth.training.progress import track
from semisynth.training.resume import forget, resume_folder
from semisynth.training.side_by_side import share_cores


def train_baseline(
    labelled: InputPath,
    models: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Train every classifier on the labelled images alone, and rank them by cross-validation inside these."""
    share_cores()
    section = load_params(params).train_baseline
    data, settings = load_images(labelled), section.model_dump()
    precision = resolve_precision(section.cnn.precision)
    resume = resume_folder("train_baseline", settings | {"on": precision}, [labelled])
    size = {"side": data.side, "classes": data.classes, "pool": data.pool}
    folding = {"folds": section.folds, "most_images": section.fold_images, "seed": section.seed}

    short = settings | {"cnn": settings["cnn"] | {"max_steps": min(section.fold_steps, section.cnn.max_steps)}}

    fits: dict[str, Job[Path]] = {}
    validations: dict[str, Job[float | None]] = {}
    for name in NAMES:
        make = partial(build_classifier, name, settings=settings, seed=section.seed, labelled=len(data), **size)
        make_short = partial(build_classifier, name, settings=short, seed=section.seed, labelled=0, **size)
        validate = partial(validate_or_reuse, make_short, data, resume / name, **folding)
        validations[f"{name}, folds"] = Job(name, min(len(data), section.fold_images), validate)
        fits[name] = Job(name, len(data), partial(fit_or_reuse, make, data, resume / name))
    jobs: dict[str, Job[Any]] = validations | fits
    done = dict(track(run_each(jobs), "fits and cross-validations", len(jobs)))
    accuracies = {name: done[f"{name}, folds"] for name in NAMES}
    with replacing_folder(models) as folder:
        copy_bundles({name: done[name] for name in NAMES}, folder)
        save_selection(folder, accuracies)
    report = {
        name: {"cross_validation_accuracy": value, "images": len(data)} for name, value in accuracies.items()
    }
    facts = {"dataset": data.dataset, "precision": precision, "best": best_of(accuracies)}
    write_json(results / "metrics.json", facts | {"classifiers": report})
    forget(resume)


if __name__ == "__main__":
    run_stage(train_baseline)
