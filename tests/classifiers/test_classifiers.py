"""What holds for every classifier."""

import functools
import shutil

import numpy as np
import pytest

from semisynth.classifiers.base import KIND
from semisynth.classifiers.registry import NAMES, build_classifier, load_classifier
from semisynth.errors import SemisynthError
from semisynth.training.bundle import load_bundle, save_bundle

every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="session")
def fitted(make, digits):
    images, labels = (part[:150] for part in digits)
    return functools.cache(lambda name, seed=0: make(name, seed=seed).fit(images, labels))


@every
def test_better_than_guessing_and_rows_sum_to_1(name, fitted, digits):
    images, labels = digits
    probabilities = fitted(name).predict_proba(images[150:450])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (300, 10)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == labels[150:450]).mean() > 0.5


@every
def test_same_seed_same_probabilities(name, make, fitted, digits):
    images, labels = (part[:150] for part in digits)
    first, second = (each.predict_proba(images) for each in (fitted(name), make(name).fit(images, labels)))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["cnn", "lightgbm"])
def test_another_seed_gives_other_probabilities(name, fitted, digits):
    first, second = (fitted(name, seed=seed).predict_proba(digits[0][:50]) for seed in (0, 1))
    assert not np.array_equal(first, second)


@every
def test_saved_and_loaded_it_gives_identical_probabilities(name, fitted, digits, tmp_path):
    classifier = fitted(name)
    classifier.save(tmp_path / "bundle")
    loaded = load_classifier(tmp_path / "bundle")
    assert (loaded.name, loaded.classes) == (name, 10)
    images = digits[0][150:250]
    np.testing.assert_array_equal(loaded.predict_proba(images), classifier.predict_proba(images))


@every
def test_a_class_that_training_lacks_keeps_its_column(name, make, digits, tmp_path):
    images, labels = (part[:150] for part in digits)
    seen = (labels != 0) & (labels != 4)
    classifier = make(name).fit(images[seen], labels[seen])
    classifier.save(tmp_path / "bundle")
    probabilities = load_classifier(tmp_path / "bundle").predict_proba(images)
    assert probabilities.shape == (150, 10)
    right = probabilities.argmax(axis=1) == labels
    assert right[seen].mean() > 0.5
    assert not right[~seen].any()
    assert probabilities[:, [0, 4]].max() < 0.5


@every
def test_two_classes(name, make, digits):
    images, labels = digits
    chosen = np.flatnonzero(labels < 2)
    train, test = chosen[:60], chosen[60:200]
    probabilities = make(name, classes=2).fit(images[train], labels[train]).predict_proba(images[test])
    assert probabilities.shape == (140, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == labels[test]).mean() > 0.9


@every
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 10, 2], "labels in 0 to 9 expected, received 0 to 10"),
        ([0, 1, -1, 2], "labels in 0 to 9 expected, received -1 to 2"),
        ([3, 3, 3, 3], r"2 classes or more expected, received labels \[3\]"),
        ([0, 1, 2], r"labels of shape \(4,\) expected, received \(3,\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name, labels, message, make, digits):
    with pytest.raises(SemisynthError, match=f"{name}: .*{message}"):
        make(name).fit(digits[0][:4], np.array(labels))


@every
def test_images_that_do_not_fit_are_refused(name, make, fitted):
    wrong = np.zeros((4, 28, 28), np.uint8)
    with pytest.raises(SemisynthError, match=r"uint8 \(n, 16, 16\) expected, received uint8 \(4, 28, 28\)"):
        make(name).fit(wrong, np.arange(4))
    with pytest.raises(SemisynthError, match="received float64"):
        fitted(name).predict_proba(np.zeros((4, 16, 16)))


@every
def test_unfitted_it_neither_predicts_nor_saves(name, make, digits, tmp_path):
    with pytest.raises(SemisynthError, match="call `fit` before"):
        make(name).predict_proba(digits[0][:2])
    with pytest.raises(SemisynthError, match="call `fit` before"):
        make(name).save(tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@every
def test_a_changed_file_is_refused(name, fitted, tmp_path):
    fitted(name).save(tmp_path)
    (model,) = (path for path in tmp_path.iterdir() if path.name != "bundle.json")
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(SemisynthError, match="damaged"):
        load_classifier(tmp_path)


@every
@pytest.mark.parametrize(("setting", "value"), [("classes", 7), ("classes", "10"), ("side", 24), ("lr", 0.1)])
def test_settings_that_do_not_match_the_model_are_refused(name, setting, value, fitted, tmp_path):
    fitted(name).save(tmp_path / "saved")
    bundle = load_bundle(tmp_path / "saved")

    def copy(folder):
        for file in bundle.files:
            shutil.copy(bundle.file(file), folder)

    save_bundle(tmp_path / "changed", KIND, bundle.settings | {setting: value}, copy)
    with pytest.raises(SemisynthError, match=str(tmp_path / "changed")):
        load_classifier(tmp_path / "changed")


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(SemisynthError, match=r"`ligthgbm` is unknown, .* did you mean `lightgbm`"):
        build_classifier("ligthgbm", settings={}, seed=0, side=16, classes=10, pool=10, labelled=10)


def test_a_bundle_of_an_unknown_classifier_is_refused(tmp_path):
    save_bundle(tmp_path, KIND, {"name": "forest"}, lambda _: None)
    with pytest.raises(SemisynthError, match=f"{tmp_path}: classifier `forest` is unknown"):
        load_classifier(tmp_path)
