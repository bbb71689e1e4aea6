"""Scores anomalies planted among test images by several detectors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisynth.anomaly.detectors import Detector, DiscriminatorDetector, IsolationForestDetector, PcaDetector
from semisynth.anomaly.metrics import precision_at_k, ranking_by_kind
from semisynth.anomaly.planted import PlantedSet, plant
from semisynth.data.imageset import ImageSet, load_images
from semisynth.errors import SemisynthError
from semisynth.files import write_csv, write_json
from semisynth.params import load_params
from semisynth.reporting.figures import save_bars
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.synthesizers.model import load_synthesizer
from semisynth.training.progress import track

MOST_FITTED = 10_000  # more images change the simple detectors little


def score_anomalies(
    synthesizer: InputPath,
    labelled: InputPath,
    unlabelled: InputPath,
    test: InputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Hide planted anomalies among test images, and measure how well each detector ranks them on top."""
    section = load_params(params).score_anomalies
    data = load_images(test)
    normal = _sample([load_images(labelled), load_images(unlabelled)], like=data, seed=section.seed)
    try:
        planted = plant(
            section.kinds,
            data.images,
            data.labels,
            per_kind=section.per_kind,
            normal=section.normal,
            seed=section.seed,
        )
    except ValueError as error:
        raise SemisynthError(f"{test}: {error}") from error
    trained = load_synthesizer(synthesizer)
    _check_side(synthesizer, trained.side, like=data)
    detectors: dict[str, Detector] = {
        "discriminator": DiscriminatorDetector(trained),
        "isolation_forest": IsolationForestDetector(random_state=section.seed),
        "pca": PcaDetector(),
    }
    scores = {
        name: detectors[name].fit(normal).score_samples(planted.images)
        for name in track(list(detectors), "fit and score detectors", len(detectors))
    }
    _report(results, data.dataset, planted, scores)


def _sample(parts: Sequence[ImageSet], *, like: ImageSet, seed: int) -> NDArray[np.uint8]:
    """Images of all `parts`, at most MOST_FITTED; SemisynthError where a side differs from that of `like`."""
    for part in parts:
        _check_side(part.source, part.side, like)
    images = np.concatenate([part.images for part in parts])
    return images[np.random.default_rng([seed, 0]).permutation(len(images))[:MOST_FITTED]]


def _check_side(source: object, side: int, like: ImageSet) -> None:
    if side != like.side:
        raise SemisynthError(f"{source}: expected side {like.side} as in {like.source}, received {side}")


def _report(results: Path, dataset: str, planted: PlantedSet, scores: dict[str, NDArray[np.float64]]) -> None:
    anomalies = int(planted.is_anomaly.sum())
    rankings = {name: ranking_by_kind(planted, values) for name, values in scores.items()}
    metrics = {
        name: {
            **ranking["all"],
            "precision_at_k": precision_at_k(planted.is_anomaly, scores[name], anomalies),
            "auroc_by_kind": {kind: ranking[kind]["auroc"] for kind in planted.kinds},
        }
        for name, ranking in rankings.items()
    }
    counts = {"normal": len(planted.images) - anomalies, "anomalies": anomalies}
    write_json(results / "metrics.json", {"dataset": dataset, **counts, "detectors": metrics})
    rows = [
        {"detector": name, "kind": kind, **values}
        for name, kinds in rankings.items()
        for kind, values in kinds.items()
    ]
    write_csv(results / "auroc.csv", ["detector", "kind", "auroc", "average_precision"], rows)
    groups = ["all", *planted.kinds]
    save_bars(
        results / "auroc.png",
        groups,
        {name: [ranking[kind]["auroc"] for kind in groups] for name, ranking in rankings.items()},
        ylabel="AUROC (0.5 = guessing)",
        title=f"Anomalies planted among test images of {dataset}",
        ylim=(0, 1),
    )


if __name__ == "__main__":
    run_stage(score_anomalies)
