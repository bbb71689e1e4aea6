import hashlib
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from semisynth.data.splitting import SplitIndices, digest_of_indices, split_indices, stratified_test_split
from semisynth.errors import SemisynthError

NAMES = tuple("0123456789")
MNIST = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def labels_of(counts: list[int], seed: int = 0) -> NDArray[np.int64]:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


def split(labels: NDArray[np.int64], labelled: int, seed: int = 0, fraction: float = 0.1) -> SplitIndices:
    return split_indices(labels, NAMES[: labels.max() + 1], labelled, fraction, seed)


def test_parts_are_disjoint_and_together_everything() -> None:
    labels = labels_of([60, 50, 40])
    parts = split(labels, 30)
    together = np.concatenate([parts.labelled, parts.unlabelled, parts.validation])
    np.testing.assert_array_equal(np.sort(together), np.arange(150))


def test_labelled_draw_is_balanced() -> None:
    labels = labels_of(MNIST)
    np.testing.assert_array_equal(np.bincount(labels[split(labels, 100).labelled]), [10] * 10)


def test_remainder_goes_one_each_to_classes_drawn_by_seed() -> None:
    labels = labels_of([50] * 10)
    draws = [np.bincount(labels[split(labels, 34, seed).labelled]) for seed in range(8)]
    assert all(sorted(draw) == [3] * 6 + [4] * 4 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 1


def test_validation_is_stratified() -> None:
    labels = labels_of([100, 50, 10, 4])
    np.testing.assert_array_equal(np.bincount(labels[split(labels, 8).validation]), [10, 5, 1, 1])


def test_validation_does_not_depend_on_labelled() -> None:
    labels = labels_of([60, 50, 40])
    np.testing.assert_array_equal(split(labels, 3).validation, split(labels, 90).validation)


def test_smaller_draw_is_part_of_a_larger_one() -> None:
    labels = labels_of([62, 50, 40])
    draws = [set(split(labels, labelled).labelled) for labelled in range(3, 120, 4)]
    assert all(small < large for small, large in pairwise(draws))


def test_same_seed_same_indices_other_seed_others() -> None:
    labels = labels_of([60, 50, 40])
    first, again, other = split(labels, 30), split(labels, 30), split(labels, 30, seed=1)
    np.testing.assert_array_equal(first.labelled, again.labelled)
    np.testing.assert_array_equal(first.validation, again.validation)
    assert not np.array_equal(first.labelled, other.labelled)
    assert not np.array_equal(first.validation, other.validation)


def test_every_image_of_a_class_is_as_likely() -> None:
    labels = labels_of([20, 20])
    drawn = np.zeros(40)
    for seed in range(400):
        drawn[split(labels, 10, seed).labelled] += 1
    assert drawn.min() > 70  # of 100 expected, with a standard deviation below 9
    assert drawn.max() < 130


def test_fully_labelled_mnist_takes_all_of_its_small_classes() -> None:
    labels = labels_of(MNIST)
    counts = np.bincount(labels[split(labels, 50_000).labelled])
    available = np.array(MNIST) - np.bincount(labels[split(labels, 50_000).validation])
    assert counts.sum() == 50_000
    assert counts[5] == available[5] == 4879
    assert np.ptp(counts[counts < available]) <= 1


def test_class_that_is_much_smaller_than_its_share_is_refused() -> None:
    with pytest.raises(
        SemisynthError, match=r"split.labelled: 100 asks for 34 labelled images of class '2', which has 27"
    ):
        split(labels_of([60, 50, 30]), 100)


def test_class_that_is_slightly_smaller_than_its_share_gives_all() -> None:
    labels = labels_of([60, 50, 30])
    np.testing.assert_array_equal(np.bincount(labels[split(labels, 93).labelled]), [33, 33, 27])


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(SemisynthError, match=r"3000 asks for 1000 labelled images of class '0', which has 9 "):
        split(labels_of([10, 10, 10]), 3000)


@pytest.mark.parametrize("labelled", [27, 28])
def test_no_image_left_unlabelled_is_refused(labelled: int) -> None:
    with pytest.raises(SemisynthError, match=f"{labelled} asked for of the 27 .* expected at most 26:"):
        split(labels_of([10, 10, 10]), labelled)


def test_one_image_left_unlabelled_is_enough() -> None:
    assert len(split(labels_of([10, 10, 10]), 26).unlabelled) == 1


def test_every_class_needs_a_label() -> None:
    with pytest.raises(SemisynthError, match="2 asked for, expected at least one for each of 3 classes"):
        split(labels_of([10, 10, 10]), 2)


def test_class_without_images_is_refused() -> None:
    with pytest.raises(SemisynthError, match="of class '1', which has 0"):
        split(labels_of([10, 0, 10]), 3)


def test_class_of_one_image_gives_it_as_labelled() -> None:
    labels = labels_of([10, 10, 1])
    parts = split(labels, 3)
    assert np.bincount(labels[parts.labelled]).tolist() == [1, 1, 1]
    assert 2 not in labels[parts.validation]


def test_a_single_image_of_every_class_leaves_none_for_validation() -> None:
    with pytest.raises(SemisynthError, match=r"split.validation: expected a class of 2 .* received 1 of each"):
        split_indices(np.array([0, 1, -1, -1]), ("a", "b"), 2, 0.1, 0)


def test_images_without_a_label_are_unlabelled_and_never_drawn() -> None:
    labels = np.array([0, 1, -1, 0, 1, -1, 0, 1])
    parts = split(labels, 4)
    assert len(parts.labelled) == 4
    assert {2, 5} <= set(parts.unlabelled.tolist())
    assert (labels[np.concatenate([parts.labelled, parts.validation])] >= 0).all()
    assert sorted(np.concatenate([parts.labelled, parts.unlabelled, parts.validation])) == list(range(8))


def test_images_without_a_label_leave_all_others_to_be_labelled() -> None:
    labels = np.array([0, 1, -1, 0, 1, 0, 1])
    assert split(labels, 4).unlabelled.tolist() == [2]
    with pytest.raises(SemisynthError, match="'0', which has 2 beside validation; expected at most 4 in all"):
        split(labels, 5)


def test_images_without_a_label_are_for_training_alone() -> None:
    train, test = stratified_test_split(np.array([0, 1, -1, 0, 1]), NAMES[:2], 0.5, seed=0)
    assert 2 in train
    assert len(test) == 2


def test_test_split_is_stratified_and_disjoint() -> None:
    labels = labels_of([100, 50, 10, 2])
    train, test = stratified_test_split(labels, NAMES[:4], 0.2, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(162))
    np.testing.assert_array_equal(np.bincount(labels[test]), [20, 10, 2, 1])


def test_test_split_depends_on_its_seed() -> None:
    labels = labels_of([100, 50])
    draws = [stratified_test_split(labels, NAMES[:2], 0.2, seed)[1] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_test_split_leaves_every_class_a_training_image() -> None:
    labels = labels_of([2, 3])
    train, _ = stratified_test_split(labels, NAMES[:2], 0.99, seed=0)
    assert np.bincount(labels[train]).tolist() == [1, 1]


def test_test_split_needs_two_images_a_class() -> None:
    with pytest.raises(SemisynthError, match=r"class '1': expected at least 2 labelled images, .* received 1"):
        stratified_test_split(labels_of([5, 1]), NAMES[:2], 0.2, seed=0)


def test_digest_tells_sets_apart_and_not_orders() -> None:
    expected = hashlib.sha256(bytes.fromhex("0100000000000000 0300000000000000")).hexdigest()
    assert digest_of_indices(np.array([3, 1])) == digest_of_indices(np.array([1, 3])) == expected
    assert digest_of_indices(np.array([1, 2])) != expected
