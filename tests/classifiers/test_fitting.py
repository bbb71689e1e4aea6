import json
from functools import partial

import numpy as np
import pytest

from semisynth.classifiers.fitting import (
    best_of,
    copy_bundles,
    fit_or_reuse,
    load_best,
    save_selection,
    validate_or_reuse,
)
from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError


@pytest.fixture
def data(digits):
    images, labels = (part[:60] for part in digits)
    return ImageSet(images, labels, tuple("0123456789"), "digits", pool=1000)


def never():
    raise AssertionError("built again")


def test_a_finished_fit_is_not_repeated(make, data, tmp_path):
    bundle = fit_or_reuse(partial(make, "logistic"), data, tmp_path)
    before = (bundle / "bundle.json").read_bytes()
    assert fit_or_reuse(never, data, tmp_path) == bundle
    assert (bundle / "bundle.json").read_bytes() == before


def test_a_finished_cross_validation_is_not_repeated(make, data, tmp_path):
    folding = {"folds": 2, "most_images": 60, "seed": 0}
    accuracy = validate_or_reuse(partial(make, "logistic"), data, tmp_path, **folding)
    assert 0.2 < accuracy < 1
    assert validate_or_reuse(never, data, tmp_path, **folding) == accuracy


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ({"cnn": 0.5, "svm": 0.75}, "svm"),
        ({"cnn": 0.5, "svm": 0.5}, "cnn"),
        ({"cnn": None, "svm": 0.25}, "svm"),
        ({"svm": None, "cnn": None}, "cnn"),
    ],
)
def test_best_of(accuracies, best):
    assert best_of(accuracies) == best


def test_the_best_is_found_again(make, data, tmp_path):
    bundles = {name: fit_or_reuse(partial(make, name), data, tmp_path / name) for name in ("svm", "logistic")}
    copy_bundles(bundles, tmp_path / "models")
    save_selection(tmp_path / "models", {"svm": 0.5, "logistic": 0.75})
    best = load_best(tmp_path / "models")
    expected = make("logistic").fit(data.images, data.labels).predict_proba(data.images)
    assert best.name == "logistic"
    np.testing.assert_array_equal(best.predict_proba(data.images), expected)


@pytest.mark.parametrize("content", ["{}", "[]", "no json", json.dumps({"best": "../svm"}), '{"best": []}'])
def test_a_damaged_selection_is_refused(content, tmp_path):
    (tmp_path / "selection.json").write_text(content)
    with pytest.raises(SemisynthError, match=r"selection\.json"):
        load_best(tmp_path)


def test_a_missing_selection_is_refused(tmp_path):
    with pytest.raises(SemisynthError, match=r"selection\.json: no such file"):
        load_best(tmp_path)
