import json
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from semisynth.classifiers.cnn import CnnClassifier
from semisynth.classifiers.fitting import load_best
from semisynth.classifiers.lightgbm import LightgbmClassifier
from semisynth.classifiers.logistic import LogisticClassifier
from semisynth.classifiers.registry import NAMES, load_classifier
from semisynth.classifiers.svm import SvmClassifier
from semisynth.data.imageset import ImageSet, save_images
from semisynth.stages.train_baseline import train_baseline
from semisynth.training import side_by_side

SHIPPED = Path(__file__).parents[2] / "params.yaml"


class KilledError(Exception):
    """Stands for `kill -9`."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """36 labelled digits of three classes, and parameters with tiny budgets."""
    monkeypatch.chdir(tmp_path)
    data = load_digits(n_class=3)
    images = np.kron(np.minimum(data.images[:36] * 16, 255).astype(np.uint8), np.ones((2, 2), np.uint8))
    labelled = ImageSet(images, data.target[:36].astype(np.int64), ("0", "1", "2"), "digits", 500)
    save_images(tmp_path / "labelled.npz", labelled)
    tree = YAML(typ="safe", pure=True).load(SHIPPED)
    tree["train_baseline"].update({"folds": 2, "fold_steps": 2})
    tree["train_baseline"]["cnn"].update(
        {"max_steps": 4, "labelled_passes": 0.1, "batch_size": 8, "precision": "float32"}
    )
    tree["train_baseline"]["lightgbm"]["num_iterations"] = 3
    YAML(typ="safe", pure=True).dump(tree, tmp_path / "params.yaml")
    return tmp_path


def run(folder):
    train_baseline(labelled=folder / "labelled.npz", models=folder / "models", results=folder / "results")
    return json.loads((folder / "results" / "metrics.json").read_text())


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_classifier_is_trained_and_the_best_is_found(folder, monkeypatch):
    fit, steps = CnnClassifier.fit, []

    def counted(network, *arguments, **more):
        steps.append(network.settings.steps)
        return fit(network, *arguments, **more)

    monkeypatch.setattr(CnnClassifier, "fit", counted)
    metrics = run(folder)
    assert sorted(steps) == [2, 2, 4]  # two folds, where the network trains shorter, then all images
    accuracies = {name: entry["cross_validation_accuracy"] for name, entry in metrics["classifiers"].items()}
    assert tuple(accuracies) == NAMES
    assert all(0 <= accuracy <= 1 for accuracy in accuracies.values())
    assert accuracies[metrics["best"]] == max(accuracies.values())
    assert {entry["images"] for entry in metrics["classifiers"].values()} == {36}
    assert (metrics["dataset"], metrics["precision"]) == ("digits", "float32")
    assert load_best(folder / "models").name == metrics["best"]
    assert [load_classifier(folder / "models" / name).name for name in NAMES] == list(NAMES)
    assert not list((folder / ".semisynth" / "resume" / "train_baseline").iterdir())


def test_after_an_interruption_it_goes_on(folder, monkeypatch):
    run(folder)
    whole = contents(folder / "models")

    def killed(*_arguments, **_more):
        raise KilledError

    fit = SvmClassifier.fit
    monkeypatch.setattr(side_by_side, "cores", lambda: 1)  # the SVM is the last
    monkeypatch.setattr(SvmClassifier, "fit", lambda *given, **more: killed() if "resume" in more else fit(*given))
    with pytest.raises(KilledError):
        run(folder)
    monkeypatch.setattr(SvmClassifier, "fit", lambda *given, **more: fit(*given) if "resume" in more else killed())
    for done in (CnnClassifier, LightgbmClassifier, LogisticClassifier):
        monkeypatch.setattr(done, "fit", killed)
    run(folder)
    assert contents(folder / "models") == whole
