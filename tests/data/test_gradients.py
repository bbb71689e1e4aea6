import numpy as np
import pytest

from semisynth.data import gradients
from semisynth.data.gradients import CELLS, DIRECTIONS, gradient_histograms

SIDE = 28


def ramp(down, right, side=SIDE):
    """An image that grows brighter by the same steps everywhere."""
    rows, columns = np.mgrid[:side, :side]
    values = down * rows + right * columns
    return np.asarray(values - values.min(), np.uint8)[np.newaxis]


def noise(count, side=SIDE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)


def cells_of(images):
    return gradient_histograms(images).reshape(len(images), CELLS, CELLS, DIRECTIONS)


@pytest.mark.parametrize(
    ("down", "right", "direction"), [(0, 3, 0), (3, 0, 3), (0, -3, 6), (-3, 0, 9)]
)  # a quarter of the circle is three of the twelve directions
def test_a_ramp_has_one_direction_and_its_slope(down, right, direction):
    found = cells_of(ramp(down, right))[0]
    inner = found[1:-1, 1:-1]
    np.testing.assert_allclose(inner[..., direction], np.sqrt(3 / 255), rtol=1e-3)
    np.testing.assert_allclose(np.delete(inner, direction, axis=-1), 0, atol=1e-3)


def test_a_direction_between_two_goes_to_both():
    found = cells_of(ramp(2, 2))[0, 1:-1, 1:-1]  # 45 degrees: half way between the second bin and the third
    np.testing.assert_allclose(found[..., 1], found[..., 2], rtol=1e-3)
    np.testing.assert_allclose(found[..., 1] ** 2 + found[..., 2] ** 2, np.hypot(2, 2) / 255, rtol=1e-3)


def test_even_images_have_zeros():
    assert not gradient_histograms(np.full((2, SIDE, SIDE), 77, np.uint8)).any()


@pytest.mark.parametrize("side", [16, 28, 64])
def test_a_quarter_turn_turns_the_cells_and_the_directions(side):
    images = noise(3, side)
    turned = cells_of(np.rot90(images, axes=(1, 2)))
    expected = np.roll(np.rot90(cells_of(images), axes=(1, 2)), -3, axis=-1)
    np.testing.assert_allclose(turned, expected, atol=1e-3)


def test_a_negative_has_the_opposite_directions():
    images = noise(3)
    np.testing.assert_allclose(cells_of(255 - images), np.roll(cells_of(images), 6, axis=-1), atol=1e-3)


def test_a_stroke_is_seen_where_it_is():
    image = np.zeros((1, SIDE, SIDE), np.uint8)
    image[0, 20:24, 4:8] = 255  # about the middle of the cell in row 5, column 1
    strength = (cells_of(image)[0] ** 2).sum(axis=-1)
    assert np.unravel_index(strength.argmax(), strength.shape) == (5, 1)
    assert strength[:4].max() < 0.01 * strength.max()


def test_blocks_do_not_change_the_features(monkeypatch):
    images = noise(7)
    expected = gradient_histograms(images)
    monkeypatch.setattr(gradients, "_BLOCK", 3 * 4 * DIRECTIONS * SIDE * SIDE)  # three images
    np.testing.assert_array_equal(gradient_histograms(images), expected)


def test_no_images_have_no_rows():
    received = gradient_histograms(np.empty((0, SIDE, SIDE), np.uint8))
    assert received.shape == (0, CELLS * CELLS * DIRECTIONS)
    assert received.dtype == np.float32
