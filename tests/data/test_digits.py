import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from semisynth.data.digits import bundled_digits


def test_contract() -> None:
    digits = bundled_digits()
    assert digits.images.shape == (1797, 28, 28)
    assert digits.class_names == tuple("0123456789")
    assert (digits.dataset, digits.pool) == ("digits", 1797)
    np.testing.assert_array_equal(digits.labels, load_digits().target)


def test_resized_digits_keep_their_look() -> None:
    small = load_digits().images
    back = [Image.fromarray(image).resize((8, 8), Image.Resampling.BOX) for image in bundled_digits().images]
    correlation = np.corrcoef(small.ravel(), np.stack([np.asarray(image) for image in back]).ravel())
    assert correlation[0, 1] > 0.98


def test_background_is_dark_and_strokes_are_bright() -> None:
    share_of_bright = (bundled_digits().images > 127).mean()
    assert 0.1 < share_of_bright < 0.5


def test_same_arrays_every_time() -> None:
    np.testing.assert_array_equal(bundled_digits().images, bundled_digits().images)
