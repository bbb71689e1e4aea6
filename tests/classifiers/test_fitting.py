import json
from functools import partial
from threading import Barrier

import numpy as np
import pytest

from semisynth.classifiers import fitting
from semisynth.classifiers.fitting import (
    Fit,
    best_of,
    copy_bundles,
    fit_each,
    fit_or_reuse,
    load_best,
    save_selection,
    validate_or_reuse,
)
from semisynth.classifiers.registry import load_classifier
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


def test_side_by_side_they_learn_what_each_learns_by_itself(make, data, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_cores", lambda: 3)
    names = ("svm", "lightgbm", "logistic", "cnn")
    fits = {f"a/{name}": Fit(name, partial(make, name), data, tmp_path / "a" / name) for name in names}
    bundles = list(fit_each(fits))
    assert [key for key, _ in bundles[:2]] == ["a/logistic", "a/cnn"]
    assert dict(bundles) == {key: tmp_path / key / "bundle" for key in fits}
    for key, bundle in bundles:
        alone = fit_or_reuse(fits[key].make, data, tmp_path / "alone" / key)
        assert (bundle / "bundle.json").read_bytes() == (alone / "bundle.json").read_bytes()


def test_those_of_one_core_are_fitted_at_the_same_time(make, data, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_cores", lambda: 2)
    both = Barrier(2, timeout=60)

    def make_together(name):
        both.wait()  # breaks where the first must end before the second begins
        return make(name)

    fits = {name: Fit(name, partial(make_together, name), data, tmp_path / name) for name in ("svm", "lightgbm")}
    assert set(dict(fit_each(fits))) == {"svm", "lightgbm"}


def test_the_largest_is_begun_first(make, data, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_cores", lambda: 1)
    begun = []

    def make_noted(key):
        begun.append(key)
        return make("svm")

    sets = {"small": data.take(np.arange(20)), "large": data, "middle": data.take(np.arange(40))}
    fits = {key: Fit("svm", partial(make_noted, key), images, tmp_path / key) for key, images in sets.items()}
    assert set(dict(fit_each(fits))) == set(sets)
    assert begun == ["large", "middle", "small"]


def test_what_was_fitted_before_one_that_fails_is_kept(make, data, tmp_path):
    def fails():
        raise SemisynthError("svm: no")

    fits = {"logistic": partial(make, "logistic"), "svm": fails}
    with pytest.raises(SemisynthError, match="svm: no"):
        list(fit_each({name: Fit(name, maker, data, tmp_path / name) for name, maker in fits.items()}))
    kept = fit_or_reuse(never, data, tmp_path / "logistic")
    assert load_classifier(kept).name == "logistic"


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
