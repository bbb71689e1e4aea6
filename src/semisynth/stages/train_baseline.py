"""Train every classifier on the labelled images alone."""

from functools import partial
from pathlib import Path

from semisynth.classifiers.fitting import Fit, best_of, copy_bundles, fit_each, save_selection, validate_or_reuse
from semisynth.classifiers.registry import NAMES, SIDE_BY_SIDE, build_classifier
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

    accuracies, fits = {}, {}
    for name in track(NAMES, "cross-validated classifiers"):
        make = partial(build_classifier, name, settings=settings, seed=section.seed, labelled=len(data), **size)
        make_short = partial(build_classifier, name, settings=short, seed=section.seed, labelled=0, **size)
        accuracies[name] = validate_or_reuse(
            make_short, data, resume / name, at_once=name in SIDE_BY_SIDE, **folding
        )
        fits[name] = Fit(name, make, data, resume / name)
    bundles = dict(track(fit_each(fits), "baseline classifiers", len(fits)))
    with replacing_folder(models) as folder:
        copy_bundles(bundles, folder)
        save_selection(folder, accuracies)
    report = {
        name: {"cross_validation_accuracy": value, "images": len(data)} for name, value in accuracies.items()
    }
    facts = {"dataset": data.dataset, "precision": precision, "best": best_of(accuracies)}
    write_json(results / "metrics.json", facts | {"classifiers": report})
    forget(resume)


if __name__ == "__main__":
    run_stage(train_baseline)
