"""Fit and calibrate the detectors of anomalies on real images, without any label."""

from pathlib import Path

import numpy as np

from semisynth.data.imageset import ImageSet, load_images
from semisynth.errors import SemisynthError
from semisynth.files import write_json
from semisynth.params import load_params
from semisynth.scoring.fitting import fit_detector_model
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.synthesizers.families import load_sampler
from semisynth.training.precision import resolve_precision


def fit_detector(
    synthesizer: InputPath,
    labelled: InputPath,
    unlabelled: InputPath,
    validation: InputPath,
    detector: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Fit and calibrate the detectors of anomalies on real images, without any label.

    The validation images calibrate: the discriminator and the detectors were not trained on them.
    """
    section = load_params(params).fit_detector
    trained = load_sampler(synthesizer)
    parts = [load_images(labelled), load_images(unlabelled)]
    held_out = load_images(validation)
    for part in (*parts, held_out):
        if part.side != trained.side:
            raise SemisynthError(
                f"{part.source}: expected side {trained.side} as in {synthesizer}, received {part.side}"
            )
    names = [f"{part.source}#{row}" for part in parts for row in range(len(part))]
    order = np.random.default_rng([section.seed, 0]).permutation(len(names))[: section.images]
    precision = resolve_precision(section.precision)
    model = fit_detector_model(
        trained,
        np.concatenate([part.images for part in parts])[order],
        [names[row] for row in order],
        held_out.images,
        parts[0].class_names,
        generated=section.generated,
        autoencoder=section.autoencoder,
        references=section.references,
        precision=precision,
        seed=section.seed,
    )
    model.save(detector)
    _report(results, parts[0], model.suite.names, len(order), len(held_out), precision)


def _report(
    results: Path, data: ImageSet, detectors: tuple[str, ...], images: int, calibration: int, precision: str
) -> None:
    facts = {
        "dataset": data.dataset,
        "detectors": list(detectors),
        "images": images,
        "calibration_images": calibration,
        "least_alpha": 1 / (1 + calibration),
        "precision": precision,
    }
    write_json(results / "metrics.json", facts)


if __name__ == "__main__":
    run_stage(fit_detector)
