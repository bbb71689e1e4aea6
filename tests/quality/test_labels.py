import math

import numpy as np
import pytest

from semisynth.quality.labels import (
    BLOCK,
    agreement_per_class,
    class_histogram,
    diversity_per_class,
    diversity_ratio,
    label_agreement,
    mode_entropy,
)


def test_agreement_by_hand():
    asked, predicted = np.array([0, 0, 1, 1, 3]), np.array([0, 1, 1, 1, 0])
    assert label_agreement(asked, predicted) == pytest.approx(3 / 5)
    assert agreement_per_class(asked, predicted, 4) == [0.5, 1.0, None, 0.0]


@pytest.mark.parametrize("predicted", [np.zeros(3, int), np.zeros((2, 1), int)])
def test_labels_of_other_shapes_are_refused(predicted):
    with pytest.raises(ValueError, match="expected two label arrays"):
        label_agreement(np.zeros(2, int), predicted)


def test_no_labels_are_refused():
    with pytest.raises(ValueError, match="expected two label arrays"):
        label_agreement(np.zeros(0, int), np.zeros(0, int))


def test_histogram_counts_absent_classes():
    assert class_histogram(np.array([2, 0, 2]), 4).tolist() == [1, 0, 2, 0]
    assert class_histogram(np.array([], np.int64), 2).tolist() == [0, 0]


@pytest.mark.parametrize("labels", [[-1, 0], [0, 4]])
def test_histogram_refuses_labels_outside(labels):
    with pytest.raises(ValueError, match="expected labels from 0 to 3"):
        class_histogram(np.array(labels), 4)


def test_entropy_in_nats():
    assert mode_entropy(np.array([5, 5, 5, 5])) == pytest.approx(math.log(4))
    assert mode_entropy(np.array([9, 0, 0])) == 0
    assert mode_entropy(np.array([1, 3])) == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))


@pytest.mark.parametrize("histogram", [np.zeros(3, int), np.array([], int), np.array([3, -1])])
def test_entropy_refuses_what_is_no_histogram(histogram):
    with pytest.raises(ValueError, match="expected counts"):
        mode_entropy(histogram)


def clusters(random, count, spread):
    labels = np.repeat([0, 1, 2], count)
    return 50.0 * labels[:, np.newaxis] + spread * random.normal(size=(3 * count, 4)), labels


def test_collapsed_images_have_no_diversity_though_every_label_agrees():
    random = np.random.default_rng(0)
    real, labels = clusters(random, 60, 1.0)
    collapsed = real[labels * 60] + 1e-6 * random.normal(size=real.shape)
    assert label_agreement(labels, labels[labels * 60]) == 1
    assert diversity_ratio(collapsed, labels, real, labels) < 1e-4


def test_as_diverse_as_real_ones_and_half_as_diverse():
    random = np.random.default_rng(1)
    real, labels = clusters(random, 400, 1.0)
    alike, _ = clusters(random, 400, 1.0)
    half, _ = clusters(random, 400, 0.5)
    assert diversity_ratio(real, labels, real, labels) == pytest.approx(1)
    assert diversity_ratio(alike, labels, real, labels) == pytest.approx(1, rel=0.05)
    assert diversity_ratio(half, labels, real, labels) == pytest.approx(0.5, rel=0.05)


def test_diversity_by_hand():
    real, labels = np.array([[0.0], [2.0], [7.0], [7.0], [1.0]]), np.array([0, 0, 1, 1, 2])
    made, made_labels = np.array([[0.0], [3.0], [6.0], [5.0]]), np.array([0, 0, 0, 1])
    # Class 0: pairs 3, 3, 6 against 2. Classes 1 and 2 have no two different real images.
    assert diversity_per_class(made, made_labels, real, labels) == {0: pytest.approx(2.0)}


def test_a_class_that_was_never_made_has_no_diversity():
    real, labels = np.array([[0.0], [2.0], [5.0], [6.0]]), np.array([0, 0, 1, 1])
    made, made_labels = np.array([[0.0], [2.0]]), np.array([0, 0])
    assert diversity_per_class(made, made_labels, real, labels) == {0: pytest.approx(1.0), 1: 0.0}
    assert diversity_ratio(made, made_labels, real, labels) == pytest.approx(0.5)


def test_blocks_of_the_distance_matrix_leave_nothing_out():
    line = np.arange(BLOCK + 7.0)[:, np.newaxis]
    labels = np.zeros(len(line), np.int64)
    # The mean distance between two of the numbers 0 to n - 1 is (n + 1) / 3.
    pair = np.array([[0.0], [1.0]])
    ratios = diversity_per_class(line, labels, pair, np.zeros(2, np.int64))
    assert ratios[0] == pytest.approx((len(line) + 1) / 3)


def test_no_real_diversity_to_compare_with_is_refused():
    with pytest.raises(ValueError, match="at least 2 different real images"):
        diversity_ratio(np.zeros((2, 3)), np.zeros(2, int), np.zeros((2, 3)), np.zeros(2, int))
