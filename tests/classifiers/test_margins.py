import numpy as np
import pytest
from sklearn.svm import SVC

from semisynth.classifiers.base import softmax
from semisynth.classifiers.margins import class_scores, fitted_temperature, lost_margins, pairwise_decisions


@pytest.fixture(scope="module")
def rows(digits):
    return (digits[0].reshape(-1, 256) / 255).astype(np.float32), digits[1]


@pytest.mark.parametrize("classes", [3, 10])
def test_decisions_are_those_of_scikit_learn(classes, rows):
    pixels, labels = (part[rows[1] < classes] for part in rows)
    model = SVC(C=5.0, gamma=0.02, decision_function_shape="ovo").fit(pixels[:150], labels[:150])
    expected = model.decision_function(pixels)
    decisions = np.concatenate(list(pairwise_decisions(model, pixels)))
    np.testing.assert_allclose(decisions[:, *np.triu_indices(classes, 1)], expected, atol=1e-4)
    np.testing.assert_array_equal(decisions, -decisions.transpose(0, 2, 1))


def test_decisions_of_two_classes(rows):
    pixels, labels = (part[rows[1] < 2] for part in rows)
    model = SVC(gamma=0.02).fit(pixels[:50], labels[:50])
    decisions = np.concatenate(list(pairwise_decisions(model, pixels)))
    np.testing.assert_allclose(decisions[:, 1, 0], model.decision_function(pixels), atol=1e-4)
    np.testing.assert_array_equal(lost_margins(decisions).argmax(axis=1), model.predict(pixels))


def test_lost_margins_by_hand():
    decisions = np.array([[[0, 2, -1], [-2, 0, 3], [1, -3, 0]]], np.float32)
    assert lost_margins(decisions).tolist() == [[-1, -2, -3]]


def test_the_ranking_is_that_of_the_votes_nearly_always(rows):
    pixels, labels = rows
    model = SVC(C=5.0, gamma=0.02).fit(pixels[:150], labels[:150])
    winners = class_scores(model, pixels).argmax(axis=1)
    assert (winners == model.predict(pixels)).mean() > 0.95


def test_scores_come_in_blocks_and_are_those_of_the_whole(rows, monkeypatch):
    pixels, labels = rows
    model = SVC(C=5.0, gamma=0.02).fit(pixels[:150], labels[:150])
    whole = class_scores(model, pixels)
    monkeypatch.setattr("semisynth.classifiers.margins._CHUNK", 7)
    assert {len(block) for block in pairwise_decisions(model, pixels)} <= {7, len(pixels) % 7}
    np.testing.assert_allclose(class_scores(model, pixels), whole, atol=1e-4)
    assert class_scores(model, pixels[:0]).shape == (0, whole.shape[1])


def test_few_images_that_are_all_told_apart_make_none_certain():
    targets = np.arange(20) % 4
    scores = -np.ones((20, 4), np.float32)
    scores[np.arange(20), targets] = 0
    beliefs = softmax(scores / np.float32(fitted_temperature(scores, targets)))
    np.testing.assert_allclose(beliefs[np.arange(20), targets], 1 - 1 / 22, atol=1e-3)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 3, (5000, 4)).astype(np.float32)
    drawn = softmax(scores / temperature).cumsum(axis=1)
    targets = (rng.random((5000, 1)) > drawn[:, :-1]).sum(axis=1)
    assert fitted_temperature(scores, targets) == pytest.approx(temperature, rel=0.1)
