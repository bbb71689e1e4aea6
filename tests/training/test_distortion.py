import math

import numpy as np
import pytest
import tensorflow as tf

from semisynth.training import distortion
from semisynth.training.distortion import distort

KEY = tf.constant([3, 4])
CONSTANTS = ("ROTATION", "SHEAR", "SCALE", "SHIFT", "ELASTIC", "STROKE")


def noise(count=6, side=16):
    return np.random.default_rng(0).uniform(-1, 1, (count, side, side, 1)).astype(np.float32)


def ring(count, side=28):
    """A stroke of about 3 pixels, where digits lie."""
    away = np.hypot(*np.indices((side, side)) - (side - 1) / 2)
    image = np.where(np.abs(away - side / 4) < 1.5, 1, -1).astype(np.float32)
    return np.repeat(image[np.newaxis, ..., np.newaxis], count, axis=0)


def ink(images):
    return ((np.asarray(images) + 1) / 2).sum(axis=(1, 2, 3))


@pytest.fixture
def still(monkeypatch):
    """No distortion at all; call it to turn one kind on, drawn at the end of its range for every image."""
    for name in CONSTANTS:
        monkeypatch.setattr(distortion, name, 0.0)

    def most(shape, seed, low, high):
        return tf.fill(shape, float(high))

    def turn_on(name, value):
        monkeypatch.setattr(tf.random, "stateless_uniform", most)
        monkeypatch.setattr(distortion, name, value)

    return turn_on


@pytest.mark.parametrize("side", [16, 20, 28])
def test_shape_and_range_stay(side):
    views = distort(noise(side=side), KEY).numpy()
    assert views.shape == (6, side, side, 1)
    assert views.dtype == np.float32
    assert views.min() >= -1
    assert views.max() <= 1
    assert views.std() > 0.1


def test_equal_keys_give_equal_views_inside_a_graph_too():
    images = noise()
    views = distort(images, KEY).numpy()
    np.testing.assert_array_equal(views, distort(images, KEY))
    np.testing.assert_allclose(tf.function(distort)(tf.constant(images), KEY), views, atol=1e-4)
    for other in ([3, 5], [4, 4]):
        assert np.abs(views - distort(images, tf.constant(other))).mean(axis=(1, 2, 3)).min() > 0.01


def test_every_image_of_a_batch_has_a_map_of_its_own():
    views = distort(ring(8), KEY).numpy().reshape(8, -1)
    apart = np.abs(views[:, np.newaxis] - views).mean(axis=2)
    assert apart[~np.eye(8, dtype=bool)].min() > 0.01


def test_an_image_stays_apart_from_its_neighbours_in_the_batch():
    """Its source points reach outside the frame, where the next image of the batch must not be found."""
    images = np.full((5, 16, 16, 1), 1, np.float32)
    images[::2] = -1
    views = distort(images, KEY).numpy()
    assert (views[::2] == -1).all()
    assert (views[1::2, 6:10, 6:10] > 0.9).all()


def test_without_distortions_nothing_changes(still):
    np.testing.assert_allclose(distort(noise(), KEY), noise(), atol=1e-5)


def test_a_quarter_turn(still):
    still("ROTATION", math.pi / 2)
    np.testing.assert_allclose(distort(noise(), KEY), np.rot90(noise(), -1, axes=(1, 2)), atol=1e-4)


def test_a_shift_brings_background_in(still):
    still("SHIFT", 3 / 16)
    expected = np.full((6, 16, 16, 1), -1, np.float32)
    expected[:, :-3, :-3] = noise()[:, 3:, 3:]
    np.testing.assert_allclose(distort(noise(), KEY), expected, atol=1e-4)


def test_a_shift_out_of_the_frame_leaves_nothing(still):
    still("SHIFT", 5.0)
    assert (distort(noise(), KEY).numpy() == -1).all()


def test_a_shear_moves_each_row_by_its_height(still):
    still("SHEAR", 2.0)
    image = np.full((1, 16, 16, 1), -1, np.float32)
    image[0, :, 8] = 1  # half a pixel right of the middle
    views = distort(image, KEY).numpy()[0, :, :, 0]
    for row, column in ((7, 9), (8, 7), (6, 11), (9, 5)):  # column = 8 - 2 (row - 7.5)
        assert views[row, column] == pytest.approx(1, abs=1e-4)
    assert ink(views[np.newaxis, 4:12, :, np.newaxis])[0] == pytest.approx(8, abs=1e-3)


def test_a_scale_of_two_halves_a_square(still):
    still("SCALE", 1.0)
    image, expected = np.full((2, 1, 16, 16, 1), -1, np.float32)
    image[:, 4:12, 4:12] = 1
    expected[:, 6:10, 6:10] = 1
    np.testing.assert_allclose(distort(image, KEY), expected, atol=1e-4)


@pytest.mark.parametrize(("amount", "inside", "around"), [(1.0, 1, 1), (0.5, 1, 0), (-1.0, -1, -1), (-0.5, 0, -1)])
def test_strokes_widen_or_thin_by_a_pixel(still, amount, inside, around):
    """The rim of a square is gained or lost; `inside` is its own outermost pixel, `around` the next one."""
    still("STROKE", amount)
    image = np.full((1, 16, 16, 1), -1, np.float32)
    image[:, 5:10, 5:10] = 1
    row = distort(image, KEY).numpy()[0, 7, :, 0]
    assert row[[7, 5, 4, 3]].tolist() == pytest.approx([1, inside, around, -1], abs=1e-4)


@pytest.mark.parametrize("side", [16, 28])
def test_the_elastic_field_has_the_deviation_asked_for_and_is_smooth(monkeypatch, side):
    for name in CONSTANTS:
        monkeypatch.setattr(distortion, name, 0.0)
    monkeypatch.setattr(distortion, "ELASTIC", 1.5 / side)
    rows, columns = distortion._points(tf.constant(2000), side, tf.random.split(KEY, 3))
    for places, grid in zip((rows, columns), np.indices((side, side)), strict=True):
        moved = places.numpy().reshape(2000, side, side) - grid
        np.testing.assert_allclose(moved.std(axis=0), 1.5, rtol=0.12)
        assert np.abs(moved.mean(axis=0)).max() < 0.2
        assert np.diff(moved, axis=2).std() < 0.8
    first = [places.numpy()[:, 0] for places in (rows, columns)]
    assert abs(np.corrcoef(first)[0, 1]) < 0.1


def test_views_keep_the_ink_in_the_frame():
    images = ring(200)
    kept = ink(distort(images, KEY)) / ink(images)
    assert kept.min() > 0.3
    assert kept.max() < 2.5
    assert np.median(kept) == pytest.approx(1, abs=0.15)
