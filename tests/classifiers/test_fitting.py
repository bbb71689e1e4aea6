import json
from functools import partial

import numpy as np
import pytest

from semisynth.classifiers.fitting import (
    Job,
    best_of,
    copy_bundles,
    fit_or_reuse,
    load_best,
    run_each,
    save_selection,
    validate_or_reuse,
)
from semisynth.classifiers.registry import load_classifier
from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.training import side_by_side


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
    monkeypatch.setattr(side_by_side, "cores", lambda: 3)
    keys = ("a/svm", "a/lightgbm", "a/logistic", "a/cnn", "b/cnn")
    names = {key: key.partition("/")[2] for key in keys}
    less = {"cnn": {"max_steps": 5}}
    makers = {key: partial(make, name, **less.get(name, {})) for key, name in names.items()}
    jobs = {
        key: Job(names[key], len(data), partial(fit_or_reuse, maker, data, tmp_path / key))
        for key, maker in makers.items()
    }
    bundles = list(run_each(jobs))
    assert bundles[0][0] == "a/logistic"
    assert dict(bundles) == {key: tmp_path / key / "bundle" for key in jobs}
    for key, bundle in bundles:
        alone = fit_or_reuse(makers[key], data, tmp_path / "alone" / key)
        assert (bundle / "bundle.json").read_bytes() == (alone / "bundle.json").read_bytes()


def test_networks_come_first_and_of_the_others_the_largest(monkeypatch):
    monkeypatch.setattr(side_by_side, "cores", lambda: 1)
    sizes = {"small": ("svm", 20), "large": ("lightgbm", 60), "middle": ("svm", 40), "network": ("cnn", 20)}
    sizes["all cores"] = ("logistic", 10)
    jobs = {key: Job(name, images, partial(str.upper, key)) for key, (name, images) in sizes.items()}
    keys = ["all cores", "network", "large", "middle", "small"]
    assert list(run_each(jobs)) == [(key, key.upper()) for key in keys]


def test_what_was_fitted_before_one_that_fails_is_kept(make, data, tmp_path):
    def fails():
        raise SemisynthError("svm: no")

    fits = {"logistic": partial(make, "logistic"), "svm": fails}
    jobs = {
        name: Job(name, len(data), partial(fit_or_reuse, maker, data, tmp_path / name))
        for name, maker in fits.items()
    }
    with pytest.raises(SemisynthError, match="svm: no"):
        list(run_each(jobs))
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
