import numpy as np
import pytest

from semisynth.augmentation import classical
from semisynth.augmentation.classical import sources_of_copies, transform, transformed_copies


def squares(count, side=28):
    """A bright square in the middle of each image."""
    images = np.zeros((count, side, side), np.uint8)
    middle = slice(side // 2 - side // 7, side // 2 + side // 7)
    images[:, middle, middle] = 200
    return images


@pytest.mark.parametrize("side", [16, 28, 64])
def test_shape_type_corners_and_mass(side):
    images = squares(300, side)
    result = transform(images, seed=0)
    assert result.dtype == np.uint8
    assert result.shape == images.shape
    assert not result[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()
    masses = result.sum(axis=(1, 2)) / images[0].sum()
    assert masses.mean() == pytest.approx(1, abs=0.05)
    assert 0.4 < masses.min() < masses.max() < 2.2


def test_same_seed_same_images():
    images = squares(20)
    np.testing.assert_array_equal(transform(images, seed=3), transform(images, seed=3))
    assert not np.array_equal(transform(images, seed=3), transform(images, seed=4))


def test_every_image_changes_in_its_own_way():
    images = squares(300)
    result = transform(images, seed=0)
    assert (result != images).any(axis=(1, 2)).all()
    assert len({image.tobytes() for image in result}) == 300


def test_the_square_stays_within_the_stated_shift():
    rows, columns = np.mgrid[:28, :28]
    result = transform(squares(500), seed=0).astype(float)
    centre = np.array([(result * axis).sum(axis=(1, 2)) / result.sum(axis=(1, 2)) for axis in (rows, columns)])
    assert np.abs(centre - 13.5).max() < 7
    assert np.abs(centre.mean(axis=1) - 13.5).max() < 0.3
    assert centre.std(axis=1) == pytest.approx(np.hypot(4 / np.sqrt(12), 1), abs=0.35)


def still(monkeypatch):
    for name in ("ROTATION", "SCALE", "SHEAR", "SHIFT", "ELASTIC_DISPLACEMENT"):
        monkeypatch.setattr(classical, name, 0)


def test_without_any_motion_the_image_is_kept(monkeypatch):
    still(monkeypatch)
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 20), np.uint8)
    np.testing.assert_array_equal(transform(images, seed=0), images)


def test_a_shift_of_whole_pixels_brings_in_background(monkeypatch):
    monkeypatch.setattr(
        classical, "_sampling_points", lambda count, side, rng: still_points(count, side, down=2, across=-1)
    )
    images = np.random.default_rng(0).integers(1, 256, (3, 20, 20), np.uint8)
    result = transform(images, seed=0)
    np.testing.assert_array_equal(result[:, :-2, 1:], images[:, 2:, :-1])
    assert not result[:, -2:].any()
    assert not result[:, :, 0].any()


def test_half_a_pixel_is_the_mean_of_neighbours(monkeypatch):
    monkeypatch.setattr(
        classical, "_sampling_points", lambda count, side, rng: still_points(count, side, down=0.5, across=0)
    )
    images = np.zeros((1, 16, 16), np.uint8)
    images[0, 8, 8] = 100
    result = transform(images, seed=0)
    assert result[0, 7, 8] == result[0, 8, 8] == 50
    assert result.sum() == 100


def still_points(count, side, *, down, across):
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    return np.tile(rows + np.float32(down), (count, 1, 1)), np.tile(columns + np.float32(across), (count, 1, 1))


def test_elastic_displacements_have_the_stated_deviation():
    side = 28
    moves = classical._displacements(2000, side, np.random.default_rng(0))
    assert moves[:, :, 14, 14].std() == pytest.approx(side * classical.ELASTIC_DISPLACEMENT, rel=0.05)
    steps = np.diff(moves, axis=-1)
    assert np.abs(steps).max() < 1  # smooth: neighbours never change places


def test_copies_are_even_over_classes_and_sources():
    images = np.zeros((10, 16, 16), np.uint8)
    images[np.arange(10), 4 + np.arange(10) // 2, 4:12] = 250
    labels = np.array([0] * 2 + [2] * 8)
    copies, given = transformed_copies(images, labels, 41, seed=0)
    assert copies.shape == (41, 16, 16)
    assert given.dtype == np.int64
    assert np.bincount(given).tolist() == [21, 0, 20]


def test_each_source_takes_its_turn(monkeypatch):
    still(monkeypatch)
    images = np.zeros((10, 16, 16), np.uint8)
    images[:, 8, 8] = np.arange(10)
    labels = np.repeat([0, 1], [4, 6])
    copies, given = transformed_copies(images, labels, 40, seed=0)
    sources = copies[:, 8, 8]
    np.testing.assert_array_equal(given, labels[sources])
    counts = np.bincount(sources)
    assert counts[:4].tolist() == [5, 5, 5, 5]
    assert sorted(counts[4:]) == [3, 3, 3, 3, 4, 4]


def test_copies_depend_on_the_seed_alone():
    images, labels = squares(6), np.arange(6) % 3
    first, again, other = (transformed_copies(images, labels, 9, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_streams_of_a_seed_differ():
    images, labels = squares(6), np.repeat([0, 1], 3)
    assert not np.array_equal(transform(images, seed=1), transform(images, seed=1, stream=1))
    first, other = (sources_of_copies(labels, 4, seed=1, stream=stream) for stream in range(2))
    assert not np.array_equal(first, other)
