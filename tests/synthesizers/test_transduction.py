from dataclasses import replace

import numpy as np
import pytest

from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.synthesizers.transduction import load_propagated, save_propagated


@pytest.fixture
def others():
    images = np.random.default_rng(1).integers(0, 256, (5, 16, 16)).astype(np.uint8)
    return ImageSet(images, np.full(5, -1), ("a", "b", "c"), "noise", 5, source="others.npz")


@pytest.fixture
def probabilities():
    return np.random.default_rng(0).dirichlet(np.ones(3), 5).astype(np.float32)


def test_what_was_saved_is_loaded_again(others, probabilities, tmp_path):
    save_propagated(tmp_path, others, probabilities)
    found = load_propagated(tmp_path, others)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, probabilities)


def test_probabilities_of_other_images_or_classes_are_refused(others, probabilities, tmp_path):
    save_propagated(tmp_path, others, probabilities)
    swapped = replace(others, images=others.images[[1, 0, 2, 3, 4]])
    for changed in (swapped, others.take(np.arange(4)), replace(others, class_names=("a", "b", "d"))):
        with pytest.raises(
            SemisynthError, match=r"propagated: .* images of others\.npz expected, received .* other"
        ):
            load_propagated(tmp_path, changed)


def test_missing_and_damaged_ones_are_refused(others, probabilities, tmp_path):
    with pytest.raises(SemisynthError, match=r"propagated/bundle\.json: no such file"):
        load_propagated(tmp_path, others)
    save_propagated(tmp_path, others, probabilities)
    (tmp_path / "propagated" / "probabilities.npz").write_bytes(b"damaged")
    with pytest.raises(SemisynthError, match=r"probabilities\.npz: damaged"):
        load_propagated(tmp_path, others)
