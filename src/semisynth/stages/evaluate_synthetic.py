"""Measures synthetic images against real ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.classifiers.registry import build_classifier
from semisynth.data.imageset import UNLABELLED, ImageSet, load_images
from semisynth.errors import SemisynthError
from semisynth.files import write_csv, write_json
from semisynth.params import EvaluateSynthetic, Params, load_params
from semisynth.quality.instrument import fit_instrument
from semisynth.quality.labels import label_agreement
from semisynth.quality.report import Measured, distance_metrics, histogram_metrics, label_metrics
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.training.budget import update_steps
from semisynth.training.precision import resolve_precision
from semisynth.training.progress import track
from semisynth.training.resume import forget, resume_folder
from semisynth.training.side_by_side import share_cores, side_by_side


def evaluate_synthetic(
    synthetic: InputPath,
    train: InputPath,
    test: InputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Measure synthetic images: distances, labels and diversity, GAN-train and GAN-test accuracy, memorisation.

    The measuring classifier knows every training label, so nothing but reports may read what it says. GAN-train is
    the test accuracy of the pipeline's `cnn`, with the baseline's settings, after synthetic images alone.
    """
    share_cores()
    sections = load_params(params)
    made, real, held_out = load_images(synthetic), load_images(train), load_images(test)
    _check(made, real)
    _check(held_out, real)
    cnn = sections.train_baseline.cnn
    wanted = sections.evaluate_synthetic.model_dump() | {"cnn": cnn.model_dump()}
    wanted |= {"on": resolve_precision(cnn.precision)}
    resume = resume_folder("evaluate_synthetic", wanted, [synthetic, train, test])
    metrics, rows = findings(made, real, held_out, sections, resume)
    write_json(results / "metrics.json", metrics)
    write_csv(results / "per_class.csv", ["class", "agreement", "images", "diversity"], rows)
    forget(resume)


def findings(
    made: ImageSet, real: ImageSet, held_out: ImageSet, sections: Params, resume: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Give all metrics of the images `made`, and of each class its agreement, images and diversity.

    Trains on those of `real` that have a label, looks among all of them for copies, and tests on `held_out`.
    Folder `resume` keeps the state of each training, by its name: `instrument`; `real`, which depends on the
    number of images `made` alone; and `gan_train`. All three run at once, so an error of one is raised when the
    others have ended.
    """
    seed = sections.evaluate_synthetic.seed
    known = real.take(real.labels != UNLABELLED)  # of a user's own images, not all need to have a label
    as_many = known.take(_some(known.labels, len(made), seed))

    def accuracy_after(data: ImageSet, name: str) -> float:
        """Test accuracy of the pipeline's network, trained on `data` alone."""
        size = {"side": real.side, "classes": real.classes, "pool": made.pool, "labelled": len(data)}
        settings = {"cnn": sections.train_baseline.cnn.model_dump()}
        network = build_classifier("cnn", settings=settings, seed=seed, **size)
        network.fit(data.images, data.labels, resume=resume / name)
        return label_agreement(held_out.labels, network.predict_proba(held_out.images).argmax(axis=1))

    tasks: dict[str, Callable[[], Any]] = {
        "instrument": partial(
            _by_instrument, made, real, held_out, as_many, sections.evaluate_synthetic, resume / "instrument"
        ),
        "gan_train": partial(accuracy_after, made, "gan_train"),
        "real": partial(accuracy_after, as_many, "real"),
    }
    found = dict(track(side_by_side(tasks, most=len(tasks)), "networks that measure", len(tasks)))
    metrics, rows = found["instrument"]
    gan_train = {
        "gan_train_accuracy": found["gan_train"],
        "gan_train_accuracy_of_real": found["real"],
        "gan_train_images_of_real": len(as_many),
    }
    return {"dataset": real.dataset, **metrics, **gan_train}, rows


def _some(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw `count` rows at random, two at least of different classes, without which nothing can be trained."""
    order = np.random.default_rng([seed, 0]).permutation(len(labels))
    if len(np.unique(labels[order[:count]])) < 2:
        other = np.flatnonzero(labels[order] != labels[order[0]])[0]
        order[[1, other]] = order[[other, 1]]
    return order[: max(count, 2)]


def _by_instrument(
    made: ImageSet, real: ImageSet, held_out: ImageSet, as_many: ImageSet, section: EvaluateSynthetic, resume: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All metrics but those of GAN-train, and the rows of the classes; `as_many` is a sample of `real`."""
    known = real.take(real.labels != UNLABELLED)
    instrument = fit_instrument(
        known.images,
        known.labels,
        classes=known.classes,
        steps=update_steps(section.max_steps, section.max_passes, len(known), section.batch_size),
        batch_size=section.batch_size,
        seed=section.seed,
        resume=resume,
    )
    kinds = (made, real, held_out)
    of_made, of_real, of_test = (Measured(instrument.features(data.images), data.labels) for data in kinds)
    predicted = instrument.predict(made.images)
    bounds = {"images": section.images, "seed": section.seed}
    labels, rows = label_metrics(of_made, predicted, of_test, real.class_names, **bounds)
    distances = distance_metrics(of_made, of_real, of_test, **bounds)
    histograms = histogram_metrics(predicted, made, as_many, held_out)
    accuracy = label_agreement(held_out.labels, instrument.predict(held_out.images))
    return {**distances, **labels, **histograms, "instrument_accuracy": accuracy}, rows


def _check(data: ImageSet, like: ImageSet) -> None:
    """Raise SemisynthError unless all `data` are labelled, of the side and the classes of `like`."""
    if (data.labels == UNLABELLED).any():
        row = int(np.flatnonzero(data.labels == UNLABELLED)[0])
        raise SemisynthError(f"{data.source}: expected a label for every image, row {row} holds {UNLABELLED}")
    if (data.side, data.class_names) != (like.side, like.class_names):
        raise SemisynthError(
            f"{data.source}: expected side {like.side} and classes {list(like.class_names)} as in {like.source}, "
            f"received side {data.side} and classes {list(data.class_names)}"
        )


if __name__ == "__main__":
    run_stage(evaluate_synthetic)
