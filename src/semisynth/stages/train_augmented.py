"""Train the baseline's classifiers again, on every arm."""

from functools import partial
from pathlib import Path
from typing import Any

from semisynth.augmentation.arms import provenance_counts
from semisynth.classifiers.fitting import Job, copy_bundles, fit_or_reuse, run_each
from semisynth.classifiers.registry import build_classifier
from semisynth.data.imageset import ImageSet, load_images
from semisynth.files import replacing_folder, write_json
from semisynth.params import load_params
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.training.precision import resolve_precision
from semisynth.training.progress import track
from semisynth.training.resume import forget, resume_folder
from semisynth.training.side_by_side import share_cores


def train_augmented(
    augmented: InputPath,
    models: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Train the baseline's classifiers on every arm: same settings, same budget, same seed, other images."""
    share_cores()
    sections = load_params(params)
    section, names = sections.train_baseline, sections.train_augmented.classifiers
    settings, labelled = section.model_dump(), sections.split.labelled
    precision = resolve_precision(section.cnn.precision)
    sets = {arm: load_images(augmented / f"{arm}.npz") for arm in sections.augment.arms}
    wanted = settings | {"on": precision, "classifiers": names, "arms": list(sets)}
    resume = resume_folder("train_augmented", wanted, [augmented])

    jobs = {}
    for arm, data in sets.items():
        size = {"side": data.side, "classes": data.classes, "pool": data.pool, "labelled": labelled}
        for name in names:
            make = partial(build_classifier, name, settings=settings, seed=section.seed, **size)
            jobs[f"{arm}/{name}"] = Job(name, len(data), partial(fit_or_reuse, make, data, resume / arm / name))
    bundles = dict(track(run_each(jobs), "classifiers on arms", len(jobs)))
    with replacing_folder(models) as folder:
        copy_bundles(bundles, folder)
    dataset = next(iter(sets.values())).dataset
    arms = {arm: _composition(data) for arm, data in sets.items()}
    write_json(results / "metrics.json", {"dataset": dataset, "precision": precision, "arms": arms})
    forget(resume)


def _composition(data: ImageSet) -> dict[str, Any]:
    counts = provenance_counts(data)
    shares = {name: count / len(data) for name, count in counts.items()}
    return {"images": len(data), "by_provenance": counts, "share": shares}


if __name__ == "__main__":
    run_stage(train_augmented)
