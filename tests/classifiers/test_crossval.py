import numpy as np
import pytest

from semisynth.classifiers.crossval import cross_validated_accuracy, stratified_folds


class Memory:
    """Knows by heart what it was fitted to, and says class 0 to all else."""

    name, classes = "memory", 3

    def fit(self, images, labels, *, resume=None):
        self.known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        return self

    def predict_proba(self, images):
        return np.eye(3, dtype=np.float32)[[self.known.get(image.tobytes(), 0) for image in images]]


def numbered(count):
    images = np.zeros((count, 16, 16), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
    return images


def test_nothing_is_judged_on_what_trained_it():
    labels = np.repeat([0, 1, 2], [10, 20, 20])
    folding = {"folds": 5, "most_images": 50, "seed": 0}
    accuracy = cross_validated_accuracy(Memory, numbered(50), labels, **folding)
    assert accuracy == pytest.approx(10 / 50)


def test_every_image_is_held_out_once_and_classes_keep_their_share():
    labels = np.repeat([0, 1, 2], [30, 30, 60])
    folds = stratified_folds(labels, folds=3, most_images=120, seed=0)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(120))
    for train, held in folds:
        assert not set(train) & set(held)
        assert np.bincount(labels[held]).tolist() == [10, 10, 20]


def test_a_subsample_keeps_the_share_of_each_class():
    labels = np.repeat([0, 1, 2], [100, 100, 200])
    folds = stratified_folds(labels, folds=2, most_images=40, seed=0)
    chosen = np.concatenate([held for _, held in folds])
    assert len(set(chosen)) == 40
    assert np.bincount(labels[chosen]).tolist() == [10, 10, 20]


def test_the_smallest_class_bounds_the_number_of_folds():
    labels = np.repeat([0, 1], [2, 20])
    assert len(stratified_folds(labels, folds=5, most_images=100, seed=0)) == 2


@pytest.mark.parametrize("counts", [[1, 20], [20]])
def test_none_where_a_class_has_a_single_image_or_there_is_one_class(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    folding = {"folds": 3, "most_images": 9, "seed": 0}
    assert cross_validated_accuracy(Memory, numbered(len(labels)), labels, **folding) is None


def test_folds_depend_on_the_seed_alone():
    labels = np.arange(60) % 3
    first, again, other = (
        np.concatenate([held for _, held in stratified_folds(labels, folds=3, most_images=45, seed=seed)])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
