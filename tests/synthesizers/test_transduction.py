import numpy as np
import pytest

from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.synthesizers.transduction import load_propagated, save_propagated


def images(count, classes=3):
    names = tuple("abcd"[:classes])
    return ImageSet(np.zeros((count, 16, 16), np.uint8), np.full(count, -1), names, "empty", count)


@pytest.fixture
def probabilities():
    return np.random.default_rng(0).dirichlet(np.ones(3), 5).astype(np.float32)


def test_what_was_saved_is_loaded_again(probabilities, tmp_path):
    save_propagated(tmp_path, probabilities)
    found = load_propagated(tmp_path, images(5))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, probabilities)


@pytest.mark.parametrize("others", [images(6), images(5, classes=4)])
def test_probabilities_of_other_images_are_refused(others, probabilities, tmp_path):
    save_propagated(tmp_path, probabilities)
    expected = rf"\({len(others)}, {others.classes}\) expected, .* received float32 \(5, 3\)"
    with pytest.raises(SemisynthError, match=expected):
        load_propagated(tmp_path, others)


def test_missing_and_damaged_ones_are_refused(probabilities, tmp_path):
    with pytest.raises(SemisynthError, match=r"propagated/bundle\.json: no such file"):
        load_propagated(tmp_path, images(5))
    save_propagated(tmp_path, probabilities)
    (tmp_path / "propagated" / "probabilities.npz").write_bytes(b"damaged")
    with pytest.raises(SemisynthError, match=r"probabilities\.npz: damaged"):
        load_propagated(tmp_path, images(5))
