import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from semisynth.data.imageset import ImageSet, save_images
from semisynth.errors import SemisynthError
from semisynth.scoring.fitting import fit_detector_model
from semisynth.scoring.model import load_detector
from semisynth.stages.score_anomalies import score_anomalies
from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.model import build_synthesizer
from semisynth.training.determinism import seed_everything

PARAMS = Path(__file__).parents[2] / "params.yaml"
KINDS = ["noise", "inverted", "letter"]
SECTION = {"kinds": KINDS, "per_kind": 15, "normal": 100, "alpha": 0.05, "seed": 0}
NAMES = {
    "ensemble",
    "discriminator",
    "class_logsumexp",
    "features_mahalanobis",
    "features_knn",
    "strokes_mixture",
    "pixels_knn",
    "reconstruction",
    "isolation_forest",
    "pca",
    "one_class_svm",
    "confidence",
}


def rings(seed, count, side=28):
    """Bright rings and discs with soft edges, black around them: two classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    grid = np.arange(side) - (side - 1) / 2
    distance = np.hypot(*np.meshgrid(grid, grid))
    radii = random.uniform(0.2, 0.3, (count, 1, 1)) * side
    images = np.clip(3 - np.abs(distance - radii), 0, 1) * (labels[:, None, None] == 0)
    images += np.clip(radii - distance, 0, 1) * (labels[:, None, None] == 1)
    return ImageSet((255 * images).astype(np.uint8), labels, ("ring", "disc"), "rings", pool=count)


@pytest.fixture(scope="module", autouse=True)
def _small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semisynth.scoring.model.BATCH_SIZE", 100)
        yield


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "detector"
    seed_everything(0)
    untrained = build_synthesizer(recipe_by_name("acgan"), 28, 2)
    normal, held_out = rings(0, 220).images, rings(1, 200).images
    ids = [str(row) for row in range(220)]
    names = ("ring", "disc")
    fit_detector_model(untrained, normal, ids, held_out, names, generated=10, references=50, seed=0).save(folder)
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, detector):
    """Runs the stage in an empty folder and returns its metrics."""
    monkeypatch.chdir(tmp_path)

    def run_on(test=None, *, clear=True, **changed):
        tree = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
        tree["score_anomalies"] = SECTION | changed
        with Path("params.yaml").open("w", encoding="utf-8") as stream:
            YAML().dump(tree, stream)
        save_images(Path("test.npz"), test or rings(2, 200))
        if clear:
            shutil.rmtree("data", ignore_errors=True)  # as DVC does before a stage
        score_anomalies(
            detector,
            Path("test.npz"),
            planted=Path("data/planted/planted.parquet"),
            scores=Path("data/scores"),
            results=Path("results"),
        )
        return json.loads(Path("results/metrics.json").read_text(encoding="utf-8"))

    return run_on


def test_detectors_find_planted_anomalies(run):
    metrics = run()
    assert (metrics["dataset"], metrics["normal"], metrics["anomalies"]) == ("rings", 100, 45)
    assert set(metrics["detectors"]) == NAMES
    assert metrics["detectors"]["pca"]["auroc"] > 0.98
    assert metrics["detectors"]["pca"]["precision_at_k"] > 0.9
    assert metrics["detectors"]["isolation_forest"]["auroc"] > 0.9
    assert metrics["detectors"]["ensemble"]["auroc"] > 0.98
    assert all(set(values["auroc_by_kind"]) == set(KINDS) for values in metrics["detectors"].values())
    assert metrics["alpha"] == 0.05
    assert metrics["false_alarm_rate"] < 0.13
    assert metrics["detection_rate"] > 0.9


def test_table_figures_and_rows(run):
    metrics = run()
    with Path("results/auroc.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["kind"] for row in rows] == ["all", *KINDS] * len(NAMES)
    table = {(row["detector"], row["kind"]): float(row["auroc"]) for row in rows}
    assert table["pca", "all"] == metrics["detectors"]["pca"]["auroc"]
    assert table["pca", "letter"] == metrics["detectors"]["pca"]["auroc_by_kind"]["letter"]
    assert Path("results/auroc.png").read_bytes().startswith(b"\x89PNG")
    assert Path("results/worst.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_parquet("data/scores/parts")) == 145


def test_equal_seeds_give_equal_metrics(run):
    first = run()
    assert first == run()
    assert first != run(seed=1, clear=False)  # without DVC as well


def test_a_small_test_set_gets_fewer_kinds_and_a_warning(run, capsys):
    metrics = run(rings(2, 10))
    assert (metrics["normal"], metrics["anomalies"]) == (6, 4)
    assert list(metrics["detectors"]["pca"]["auroc_by_kind"]) == KINDS[:2]
    told = "3 kinds of anomalies need 12 test images, there are 10; planted: noise, inverted "
    assert told in capsys.readouterr().err


def test_a_test_set_that_is_too_small_is_refused_and_named(run):
    with pytest.raises(SemisynthError, match=r"test\.npz: expected at least 4 images to plant noise, received 3"):
        run(rings(2, 3))
    assert not Path("results").exists()


def test_images_of_another_side_are_refused(run):
    with pytest.raises(SemisynthError, match=r"test\.npz: images that the detector can't score: .*wrong size"):
        run(rings(2, 60, side=20))


def test_a_test_set_of_one_class_cannot_be_blended(run):
    one = replace(rings(2, 60), labels=np.zeros(60, np.int64))
    with pytest.raises(SemisynthError, match=r"test\.npz: expected images of at least 2 classes to blend"):
        run(one, kinds=["blended"])


def test_a_rate_that_the_calibration_images_cannot_tell_apart_becomes_the_least(run, detector):
    calibration = len(load_detector(detector).suite.calibration["ensemble"])
    assert run(alpha=0.0001)["alpha"] == 1 / (1 + calibration)
