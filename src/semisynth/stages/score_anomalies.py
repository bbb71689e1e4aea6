"""Scores anomalies planted among test images, by the job that users run, with every detector."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from semisynth.anomaly.conformal import least_alpha
from semisynth.anomaly.metrics import precision_at_k, ranking_by_kind
from semisynth.anomaly.planted import IMAGES_PER_KIND, PlantedSet, plant
from semisynth.data.imageset import load_images
from semisynth.errors import SemisynthError
from semisynth.files import replacing_file, write_csv, write_json
from semisynth.params import load_params
from semisynth.reporting.figures import save_bars
from semisynth.scoring.explain import SHEET
from semisynth.scoring.folder import EXPLAIN, MANIFEST
from semisynth.scoring.job import run_job
from semisynth.scoring.model import load_detector
from semisynth.scoring.options import JobOptions
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.training.resume import forget
from semisynth.training.side_by_side import share_cores

EXPLAINED = 12
GROUP = 500  # rows of a row group


def score_anomalies(
    detector: InputPath,
    test: InputPath,
    planted: OutputPath,
    scores: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Hide planted anomalies among test images, score all by the job, and measure how each detector ranks them.

    A test set of fewer than four images for each of `score_anomalies.kinds` gets the first of the kinds alone.
    """
    section = load_params(params).score_anomalies
    share_cores()
    data = load_images(test)
    try:
        hidden = plant(
            _kinds(section.kinds, len(data)),
            data.images,
            data.labels,
            per_kind=section.per_kind,
            normal=section.normal,
            seed=section.seed,
        )
    except ValueError as error:
        raise SemisynthError(f"{test}: {error}") from error
    _save(planted, hidden)
    if (scores / MANIFEST).exists():  # this stage's own folder, which DVC would have cleared: inputs may differ
        forget(scores)
    options = JobOptions(alpha=_alpha(detector, section.alpha), explain=EXPLAINED, every_detector=True)
    summary = run_job([str(planted)], detector, scores, options)
    if summary["quarantined"]:
        raise SemisynthError(f"{test}: images that the detector can't score: {summary['quarantined']}")
    with replacing_file(results / SHEET) as temporary:
        shutil.copyfile(scores / EXPLAIN / SHEET, temporary)
    _report(results, data.dataset, hidden, pd.read_parquet(scores / "parts"), options.alpha)


def _kinds(wanted: Sequence[str], images: int) -> Sequence[str]:
    """The first of the kinds `wanted`, as many as there are images for, with a warning where that is not all."""
    kinds = wanted[: max(1, images // IMAGES_PER_KIND)]
    if len(kinds) < len(wanted):
        needed = IMAGES_PER_KIND * len(wanted)
        print(
            f"warning: score_anomalies.kinds: {len(wanted)} kinds of anomalies need {needed} test images, "
            f"there are {images}; planted: {', '.join(kinds)} alone",
            file=sys.stderr,
        )
    return kinds


def _alpha(detector: Path, wanted: float) -> float:
    """The false-alarm rate `wanted`, or the least that the detector's calibration images can tell apart."""
    calibration = load_detector(detector).suite.calibration["ensemble"]
    return max(wanted, least_alpha(len(calibration)))


def _save(path: Path, hidden: PlantedSet) -> None:
    """Write the planted set as users' images come: Parquet, an id and a list of pixels a row."""
    count, side = hidden.images.shape[:2]
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(hidden.images.reshape(-1)), side * side)
    table = pa.table({"id": [f"{row:06d}" for row in range(count)], "image": pixels})
    with replacing_file(path) as temporary:
        pq.write_table(table, temporary, row_group_size=GROUP)


def _report(results: Path, dataset: str, hidden: PlantedSet, table: pd.DataFrame, alpha: float) -> None:
    table = table.sort_values("id")  # the order in which the images were planted
    names = [name.removeprefix("score_") for name in table.columns if name.startswith("score_")]
    scores = {name: table[f"score_{name}"].to_numpy() for name in names}
    rankings = {name: ranking_by_kind(hidden, values) for name, values in scores.items()}
    anomalies = int(hidden.is_anomaly.sum())
    metrics = {
        name: {
            **ranking["all"],
            "precision_at_k": precision_at_k(hidden.is_anomaly, scores[name], anomalies),
            "auroc_by_kind": {kind: ranking[kind]["auroc"] for kind in hidden.kinds},
        }
        for name, ranking in rankings.items()
    }
    alarms = _alarms(hidden, table["is_anomaly"].to_numpy(bool), alpha)
    counts = {"normal": len(table) - anomalies, "anomalies": anomalies}
    write_json(results / "metrics.json", {"dataset": dataset, **counts, **alarms, "detectors": metrics})
    rows = [
        {"detector": name, "kind": kind, **values}
        for name, kinds in rankings.items()
        for kind, values in kinds.items()
    ]
    write_csv(results / "auroc.csv", ["detector", "kind", "auroc", "average_precision"], rows)
    groups = ["all", *hidden.kinds]
    save_bars(
        results / "auroc.png",
        groups,
        {name: [ranking[kind]["auroc"] for kind in groups] for name, ranking in rankings.items()},
        ylabel="AUROC (0.5 = guessing)",
        title=f"Anomalies planted among test images of {dataset}",
        ylim=(0, 1),
    )


def _alarms(hidden: PlantedSet, flagged: NDArray[np.bool_], alpha: float) -> dict[str, Any]:
    """What `is_anomaly` of the ensemble does at `alpha`: false alarms among normal images, anomalies found."""
    return {
        "alpha": alpha,
        "false_alarm_rate": float(flagged[~hidden.is_anomaly].mean()),
        "detection_rate": float(flagged[hidden.is_anomaly].mean()),
    }


if __name__ == "__main__":
    run_stage(score_anomalies)
