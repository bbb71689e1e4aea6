import json
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from semisynth.classifiers.cnn import CnnClassifier
from semisynth.classifiers.logistic import LogisticClassifier
from semisynth.classifiers.registry import build_classifier, load_classifier
from semisynth.data.imageset import ImageSet, save_images
from semisynth.errors import SemisynthError
from semisynth.params import load_params
from semisynth.stages.train_augmented import train_augmented
from semisynth.training import side_by_side

SHIPPED = Path(__file__).parents[2] / "params.yaml"


class KilledError(Exception):
    """Stands for `kill -9`."""


def first_digits(count):
    data = load_digits(n_class=3)
    images = np.kron(np.minimum(data.images[:count] * 16, 255).astype(np.uint8), np.ones((2, 2), np.uint8))
    provenance = (np.arange(count) >= 30).astype(np.uint8)
    confidence = np.ones(count, np.float32)
    labels = data.target[:count].astype(np.int64)
    return ImageSet(images, labels, ("0", "1", "2"), "digits", 500, provenance, confidence)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two arms of 30 and 40 digits, two classifiers with tiny budgets."""
    monkeypatch.chdir(tmp_path)
    save_images(tmp_path / "augmented" / "classical.npz", first_digits(30))
    save_images(tmp_path / "augmented" / "synthetic+classical.npz", first_digits(40))
    tree = YAML(typ="safe", pure=True).load(SHIPPED)
    tree["train_baseline"]["cnn"].update(
        {"max_steps": 4, "labelled_passes": 2, "batch_size": 8, "precision": "float32"}
    )
    tree["split"]["labelled"] = 30
    tree["train_augmented"]["classifiers"] = ["cnn", "logistic"]
    tree["augment"]["arms"] = ["classical", "synthetic+classical"]
    YAML(typ="safe", pure=True).dump(tree, tmp_path / "params.yaml")
    return tmp_path


def run(folder):
    train_augmented(augmented=folder / "augmented", models=folder / "models", results=folder / "results")
    return json.loads((folder / "results" / "metrics.json").read_text())


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_arm_is_trained_as_the_baseline_is(folder):
    metrics = run(folder)
    section = load_params(folder / "params.yaml").train_baseline
    for arm, count in {"classical": 30, "synthetic+classical": 40}.items():
        data = first_digits(count)
        for name in ("cnn", "logistic"):
            fresh = build_classifier(
                name, settings=section.model_dump(), seed=section.seed, side=16, classes=3, pool=500, labelled=30
            )
            expected = fresh.fit(data.images, data.labels).predict_proba(data.images)
            received = load_classifier(folder / "models" / arm / name).predict_proba(data.images)
            np.testing.assert_array_equal(received, expected)
    assert metrics == {
        "dataset": "digits",
        "precision": "float32",
        "arms": {
            "classical": {
                "images": 30,
                "by_provenance": {"labelled": 30, "synthetic": 0, "pseudo": 0},
                "share": {"labelled": 1.0, "synthetic": 0.0, "pseudo": 0.0},
            },
            "synthetic+classical": {
                "images": 40,
                "by_provenance": {"labelled": 30, "synthetic": 10, "pseudo": 0},
                "share": {"labelled": 0.75, "synthetic": 0.25, "pseudo": 0.0},
            },
        },
    }
    assert not list((folder / ".semisynth" / "resume" / "train_augmented").iterdir())


def test_after_an_interruption_finished_fits_are_not_repeated(folder, monkeypatch):
    run(folder)
    whole = contents(folder / "models")
    fitted = []
    fits = {kind: kind.fit for kind in (CnnClassifier, LogisticClassifier)}

    def counted(self, images, *arguments, **more):
        fitted.append((self.name, len(images)))
        if len(fitted) == 3:
            raise KilledError
        return fits[type(self)](self, images, *arguments, **more)

    for kind in fits:
        monkeypatch.setattr(kind, "fit", counted)
    monkeypatch.setattr(side_by_side, "cores", lambda: 1)
    with pytest.raises(KilledError):
        run(folder)
    assert contents(folder / "models") == whole
    run(folder)
    # First logistic regression, then the networks, that of the largest arm first: its second fit is not the last.
    assert fitted == [("logistic", 30), ("logistic", 40), ("cnn", 40), ("cnn", 40), ("cnn", 30)]
    assert contents(folder / "models") == whole


def test_a_missing_arm_is_named_before_any_training(folder, monkeypatch):
    (folder / "augmented" / "synthetic+classical.npz").unlink()
    monkeypatch.setattr(CnnClassifier, "fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(SemisynthError, match=r"synthetic\+classical\.npz: no such file"):
        run(folder)
    assert not (folder / "models").exists()
