import lightgbm
import numpy as np
import pytest

from semisynth.classifiers.lightgbm import MODEL_FILE
from semisynth.classifiers.registry import load_classifier
from semisynth.errors import SemisynthError
from semisynth.training.bundle import load_bundle, save_bundle


def test_it_is_what_lightgbm_trains(make, digits):
    images, labels = digits
    rows = images.reshape(len(images), -1) / np.float32(255)
    parameters = {
        "objective": "multiclass",
        "num_class": 10,
        "learning_rate": 0.2,
        "num_leaves": 7,
        "min_data_in_leaf": 3,
        "feature_fraction": 0.3,
        "max_bin": 31,
        "seed": 0,
        "verbose": -1,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
    }
    expected = lightgbm.train(parameters, lightgbm.Dataset(rows[:100], labels[:100]), 10).predict(rows)
    received = make("lightgbm").fit(images[:100], labels[:100]).predict_proba(images)
    np.testing.assert_allclose(received, expected, atol=1e-6)


def test_a_file_that_is_no_model_is_refused(make, digits, tmp_path):
    make("lightgbm").fit(digits[0][:50], digits[1][:50]).save(tmp_path / "good")
    settings = load_bundle(tmp_path / "good").settings
    save_bundle(tmp_path / "bad", "classifier", settings, lambda part: (part / MODEL_FILE).write_text("garbage"))
    with pytest.raises(SemisynthError, match=r"model\.txt: not a LightGBM text model"):
        load_classifier(tmp_path / "bad")


def test_it_stops_where_no_leaf_can_be_split(make):
    images = np.zeros((20, 16, 16), np.uint8)
    labels = np.arange(20) % 10
    probabilities = make("lightgbm").fit(images, labels).predict_proba(images)
    np.testing.assert_allclose(probabilities, 0.1, atol=1e-6)
