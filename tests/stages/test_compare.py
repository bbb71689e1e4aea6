import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semisynth.classifiers.registry import build_classifier
from semisynth.data.imageset import ImageSet, save_images
from semisynth.errors import SemisynthError
from semisynth.stages.compare import compare

PARAMS = Path(__file__).parents[2] / "params.yaml"
NAMES = ("left", "middle", "right")
SETTINGS = {"logistic": {"C": 1.0, "max_iter": 50}, "svm": {"C": 5.0, "gamma": "scale", "max_images": 1000}}


def stripes(n: int, seed: int) -> ImageSet:
    """Noise with a bright stripe; where it stands is the class."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = generator.integers(0, 60, (n, 16, 16), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 + 5 * label : 5 + 5 * label] += 150
    return ImageSet(images, labels, NAMES, "stripes", n)


def train(folder: Path, name: str, data: ImageSet, labels: Any = None, classes: int = 3) -> None:
    classifier = build_classifier(
        name, settings=SETTINGS, seed=0, side=16, classes=classes, pool=len(data), labelled=0
    )
    classifier.fit(data.images, data.labels if labels is None else labels).save(folder / name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline that mistakes `right` for `middle`, a perfect arm, and one on which a single classifier errs."""
    root = tmp_path_factory.mktemp("trained")
    data = stripes(30, seed=1)
    validation = stripes(30, seed=2)
    save_images(root / "labelled.npz", data)
    save_images(root / "validation.npz", validation.take(validation.labels < 2))  # without `right`
    save_images(root / "test.npz", stripes(60, seed=3))
    for name in ("logistic", "svm"):
        train(root / "baseline", name, data, np.minimum(data.labels, 1))
        train(root / "augmented" / "all", name, data)
    train(root / "augmented" / "synthetic", "svm", data, (data.labels + 1) % 3)
    return root


def run(root: Path, results: Path) -> None:
    compare(
        root / "labelled.npz",
        root / "baseline",
        root / "augmented",
        root / "validation.npz",
        root / "test.npz",
        results,
        PARAMS,
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_planted_accuracies_come_out(trained: Path, tmp_path: Path) -> None:
    run(trained, tmp_path)
    lines = (tmp_path / "accuracy.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "dataset,labelled,arm,classifier,accuracy,error,error_low,error_high"
    accuracies = [
        (row["arm"], row["classifier"], float(row["accuracy"])) for row in rows_of(tmp_path / "accuracy.csv")
    ]
    assert accuracies == [
        ("labelled", "svm", pytest.approx(2 / 3)),
        ("labelled", "logistic", pytest.approx(2 / 3)),
        ("synthetic", "svm", 0.0),
        ("all", "svm", 1.0),
        ("all", "logistic", 1.0),
    ]
    changes = {(row["arm"], row["classifier"]): row for row in rows_of(tmp_path / "changes.csv")}
    assert float(changes["all", "svm"]["change"]) == pytest.approx(1 / 3)
    assert float(changes["all", "svm"]["mcnemar_p"]) == pytest.approx(2 / 2**20, rel=1e-3)
    assert float(changes["synthetic", "svm"]["change_high"]) < 0


def test_metrics_name_the_data_set_and_the_labels(trained: Path, tmp_path: Path) -> None:
    run(trained, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["dataset"], metrics["labelled"]) == ("stripes", 30)
    assert metrics["test"]["all"] == {"svm": 1.0, "logistic": 1.0}
    assert metrics["test"]["synthetic"] == {"svm": 0.0}
    assert metrics["test"]["labelled"] == {"svm": pytest.approx(2 / 3), "logistic": pytest.approx(2 / 3)}
    assert metrics["validation"]["labelled"] == {"svm": 1.0, "logistic": 1.0}
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table.startswith("# stripes, 30 labels: accuracy on 60 test images\n")
    assert "100.00 % (+33.33) *" in table


def test_confusions_are_the_baselines_and_those_of_the_last_arm(trained: Path, tmp_path: Path) -> None:
    run(trained, tmp_path)
    before, after = (rows_of(tmp_path / f"confusion_{kind}.csv") for kind in ("labelled", "augmented"))
    assert {(row["actual"], row["predicted"]) for row in before} == {
        ("left", "left"),
        ("middle", "middle"),
        ("right", "middle"),
    }
    assert {(row["actual"], row["predicted"]) for row in after} == {(name, name) for name in NAMES}
    assert len(before) == len(after) == 60


def test_a_second_run_gives_the_same_files(trained: Path, tmp_path: Path) -> None:
    run(trained, tmp_path / "one")
    run(trained, tmp_path / "two")
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert set(files) == {
        "accuracy.csv",
        "accuracy.png",
        "changes.csv",
        "confusion.png",
        "confusion_augmented.csv",
        "confusion_labelled.csv",
        "metrics.json",
        "table.md",
    }


@pytest.mark.parametrize("folder", ["baseline", "augmented"])
def test_missing_classifiers_are_told(folder: str, trained: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(trained, root)
    shutil.rmtree(root / folder)
    with pytest.raises(SemisynthError, match=rf"{folder}: expected classifiers, found none"):
        run(root, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_classifier_of_other_classes_is_refused(trained: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(trained, root)
    train(root / "augmented" / "all", "svm", stripes(30, seed=1), classes=4)
    with pytest.raises(SemisynthError, match=r"all/svm: expected 3 classes as in the test set, received 4"):
        run(root, tmp_path / "results")
    assert not (tmp_path / "results").exists()
