"""Measures synthetic images against real ones."""

from functools import partial
from pathlib import Path

import numpy as np

from semisynth.data.imageset import UNLABELLED, ImageSet, load_images
from semisynth.errors import SemisynthError
from semisynth.files import write_csv, write_json
from semisynth.params import load_params
from semisynth.quality.instrument import fit_instrument
from semisynth.quality.labels import label_agreement
from semisynth.quality.report import Measured, distance_metrics, histogram_metrics, label_metrics
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.training.budget import update_steps
from semisynth.training.resume import forget, resume_folder


def evaluate_synthetic(
    synthetic: InputPath,
    train: InputPath,
    test: InputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Measure synthetic images: distances, labels and diversity, GAN-train and GAN-test accuracy, memorisation.

    The measuring classifier knows every training label, so nothing but reports may read what it says.
    """
    section = load_params(params).evaluate_synthetic
    made, real, held_out = load_images(synthetic), load_images(train), load_images(test)
    for data in (made, real, held_out):
        _check(data, real)
    resume = resume_folder("evaluate_synthetic", section.model_dump(), [synthetic, train, test])
    fit = partial(
        fit_instrument,
        classes=real.classes,
        steps=update_steps(section.max_steps, section.max_passes, len(real), section.batch_size),
        batch_size=section.batch_size,
        seed=section.seed,
    )

    instrument = fit(real.images, real.labels, title="measuring classifier", resume=resume / "instrument")
    kinds = (made, real, held_out)
    of_made, of_real, of_test = (Measured(instrument.features(data.images), data.labels) for data in kinds)
    predicted = instrument.predict(made.images)
    bounds = {"images": section.images, "seed": section.seed}
    labels, rows = label_metrics(of_made, predicted, of_test, real.class_names, **bounds)
    distances = distance_metrics(of_made, of_real, of_test, **bounds)

    as_many = real.take(np.random.default_rng([section.seed, 0]).permutation(len(real))[: len(made)])
    histograms = histogram_metrics(predicted, made, as_many, held_out)
    on_made = fit(made.images, made.labels, title="GAN-train", resume=resume / "gan_train")
    on_real = fit(as_many.images, as_many.labels, title="as many real images", resume=resume / "real")
    accuracy = {
        "instrument_accuracy": label_agreement(held_out.labels, instrument.predict(held_out.images)),
        "gan_train_accuracy": label_agreement(held_out.labels, on_made.predict(held_out.images)),
        "gan_train_accuracy_of_real": label_agreement(held_out.labels, on_real.predict(held_out.images)),
    }
    write_json(
        results / "metrics.json", {"dataset": real.dataset, **distances, **labels, **histograms, **accuracy}
    )
    write_csv(results / "per_class.csv", ["class", "agreement", "images", "diversity"], rows)
    forget(resume)


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
