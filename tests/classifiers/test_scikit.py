from collections import OrderedDict

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from semisynth.classifiers.logistic import TOLERANCE
from semisynth.classifiers.registry import load_classifier
from semisynth.classifiers.scikit import MODEL_FILE
from semisynth.errors import SemisynthError
from semisynth.training.bundle import save_bundle


class Foreign(SVC):
    """A type of which skops knows nothing."""


def save_as_svm(folder, model, **settings):
    known = {
        "name": "svm",
        "side": 16,
        "classes": 10,
        "seed": 0,
        "C": 1.0,
        "gamma": 0.1,
        "max_images": 9,
    } | settings
    save_bundle(folder, "classifier", known, lambda part: skops.io.dump(model, part / MODEL_FILE))


@pytest.fixture
def rows(digits):
    return digits[0][:60].reshape(60, -1) / 255, digits[1][:60]


def test_a_type_that_skops_does_not_trust_is_refused(rows, tmp_path):
    save_as_svm(tmp_path, Foreign(gamma=0.1).fit(*rows))
    with pytest.raises(SemisynthError, match=r"model\.skops: not a model that can be trusted .*Foreign"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LogisticRegression(), "SVC expected, received LogisticRegression"),
        (OrderedDict(a=1), "SVC expected, received OrderedDict"),
        (SVC(), "256 features expected, received None"),
    ],
)
def test_another_model_is_refused(model, message, tmp_path):
    save_as_svm(tmp_path, model)
    with pytest.raises(SemisynthError, match=message):
        load_classifier(tmp_path)


def test_the_support_vector_machine_is_calibrated_on_held_out_images(make, digits):
    images, labels = digits
    classifier = make("svm").fit(images[:100], labels[:100])
    probabilities = classifier.predict_proba(images[100:])
    sure = probabilities.max(axis=1) >= 0.9
    right = probabilities.argmax(axis=1) == labels[100:]
    assert classifier.settings.temperature != 1
    assert abs(probabilities.max(axis=1).mean() - right.mean()) < 0.15
    assert sure.mean() > 0.1
    assert right[sure].mean() > 0.9


def test_the_support_vector_machine_learns_from_so_many_images_at_most(make, digits):
    images, labels = digits
    known = {tuple(row) for row in images[:300].reshape(300, -1) / np.float32(255)}
    limited, again, other = (
        make("svm", max_images=100, seed=seed).fit(images[:300], labels[:300]) for seed in (0, 0, 1)
    )
    support = [tuple(row) for row in limited._model.support_vectors_]
    assert 10 < len(support) <= 100
    assert known.issuperset(support)
    np.testing.assert_array_equal(limited.predict_proba(images), again.predict_proba(images))
    assert (limited.predict_proba(images) != other.predict_proba(images)).any()


def test_the_support_vector_machine_learns_from_rare_classes_too(make, digits):
    images, labels = digits
    rare = np.flatnonzero(labels == 1)[:1]
    rows = np.concatenate([np.flatnonzero(labels == 0), rare])
    limited = make("svm", max_images=4).fit(images[rows], labels[rows])
    assert set(limited._model.classes_) == {0, 1}
    with pytest.raises(
        SemisynthError, match=r"max_images.*: expected at least one for each of 10 classes, rec.* 9"
    ):
        make("svm", max_images=9).fit(images[:300], labels[:300])


def test_one_image_a_class_leaves_the_temperature_at_1(make, digits):
    images, labels = digits
    classifier = make("svm").fit(images[:10], labels[:10])
    assert sorted(labels[:10]) == list(range(10))
    assert classifier.settings.temperature == 1


def test_logistic_regression_agrees_with_scikit_learn(make, digits):
    images, labels = digits
    rows = (images.reshape(len(images), -1) / 255).astype(np.float32)
    expected = LogisticRegression(C=1.0, tol=TOLERANCE).fit(rows[:100], labels[:100]).predict_proba(rows)
    received = make("logistic", max_iter=100).fit(images[:100], labels[:100]).predict_proba(images)
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_logistic_regression_may_end_before_the_optimum_without_a_warning(make, digits):
    images, labels = digits
    probabilities = make("logistic", max_iter=2).fit(images[:100], labels[:100]).predict_proba(images)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.5
