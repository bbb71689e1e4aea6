import numpy as np
import pytest

from semisynth.augmentation.selection import above_chance, average_probabilities, select_confident


def planted(confidences, labels, classes=3):
    """Probabilities whose largest entry, of class `labels`, is `confidences`."""
    confidences, labels = np.array(confidences), np.array(labels)
    result = np.repeat(((1 - confidences) / (classes - 1))[:, np.newaxis], classes, axis=1)
    result[np.arange(len(labels)), labels] = confidences
    return result.astype(np.float32)


def test_average_by_hand():
    first, second = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.0, 1.0]])
    average = average_probabilities([first, second])
    assert average.dtype == np.float32
    assert average.tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_an_average_of_one_member_is_the_member():
    member = np.random.default_rng(0).dirichlet(np.ones(4), 5).astype(np.float32)
    np.testing.assert_array_equal(average_probabilities([member]), member)


@pytest.mark.parametrize(
    ("threshold", "classes", "expected"),
    [(0.4, 10, 0.4), (0.4, 4, 0.4), (0.4, 3, 0.5), (0.4, 2, 0.75), (0.9, 2, 0.9)],
)
def test_few_classes_ask_for_more_than_a_guess(threshold, classes, expected):
    assert above_chance(threshold, classes) == pytest.approx(expected)


def test_none_below_the_threshold_and_the_threshold_counts():
    probabilities = planted([0.75, 0.9, 0.95, 0.99], [0, 0, 1, 1])
    chosen, labels, confidence = select_confident(probabilities, threshold=0.9, per_class=10, seed=0)
    assert chosen.tolist() == [1, 2, 3]
    assert labels.tolist() == [0, 1, 1]
    np.testing.assert_allclose(confidence, [0.9, 0.95, 0.99], rtol=1e-6)


def test_classes_are_balanced_where_possible():
    labels = np.repeat([0, 1, 2], [50, 30, 4])
    _, given, _ = select_confident(planted(np.full(84, 0.95), labels), threshold=0.9, per_class=20, seed=0)
    assert np.bincount(given).tolist() == [20, 20, 4]


def test_the_draw_is_random_not_the_surest():
    probabilities = planted(np.linspace(0.9, 1, 1000), np.zeros(1000, int))
    chosen, _, confidence = select_confident(probabilities, threshold=0.5, per_class=200, seed=0)
    assert len(set(chosen)) == 200
    assert confidence.mean() == pytest.approx(0.95, abs=0.01)


def test_the_draw_depends_on_the_seed_alone():
    probabilities = planted(np.full(100, 0.95), np.arange(100) % 3)
    first, again, other = (
        select_confident(probabilities, threshold=0.9, per_class=10, seed=seed)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rounding_never_makes_a_confidence_above_1():
    _, _, confidence = select_confident(np.array([[np.float32(1.0000001), 0]]), threshold=1.0, per_class=1, seed=0)
    assert confidence.tolist() == [1]


def test_nobody_is_sure():
    chosen, labels, confidence = select_confident(planted([0.5], [0]), threshold=0.9, per_class=3, seed=0)
    assert len(chosen) == len(labels) == len(confidence) == 0


@pytest.mark.parametrize("classes", [2, 10])
def test_an_image_whose_classes_are_all_alike_is_never_taken(classes):
    undecided = np.full((1, classes), 1 / classes, np.float32)
    probabilities = np.concatenate([undecided, planted([0.55], [1], classes), undecided])
    chosen, labels, _ = select_confident(probabilities, threshold=0.0, per_class=3, seed=0)
    assert chosen.tolist() == labels.tolist() == [1]
