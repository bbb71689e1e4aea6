from typing import get_args

import numpy as np
import pytest

from semisynth.anomaly.planted import (
    NORMAL,
    plant,
    plant_blended,
    plant_inverted,
    plant_letter,
    plant_noise,
    plant_shuffled,
)
from semisynth.params import AnomalyKind

KINDS = get_args(AnomalyKind)


@pytest.fixture
def digits():
    """Ten images of a bright bar, at a place of its own for each of five classes."""
    random = np.random.default_rng(0)
    labels = np.arange(10) % 5
    images = random.integers(0, 30, (10, 20, 20)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4:16, 3 * label : 3 * label + 3] = 240
    return images, labels


def planted_by(kind, images, labels, seed):
    if kind == "blended":
        return plant_blended(images, labels, seed)
    if kind == "inverted":
        return plant_inverted(images)
    return {"noise": plant_noise, "shuffled": plant_shuffled, "letter": plant_letter}[kind](images, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_keeps_shape_and_dtype_and_changes_every_image(digits, kind):
    images, labels = digits
    before = images.copy()
    result = planted_by(kind, images, labels, 0)
    assert (result.shape, result.dtype) == (images.shape, np.uint8)
    assert not np.shares_memory(result, images)
    assert np.array_equal(images, before)
    assert (result != images).any(axis=(1, 2)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_anomalies(digits, kind):
    images, labels = digits
    result = planted_by(kind, images, labels, 3)
    assert np.array_equal(result, planted_by(kind, images, labels, 3))
    if kind != "inverted":
        assert not np.array_equal(result, planted_by(kind, images, labels, 4))


@pytest.mark.parametrize("plant_kind", [plant_noise, plant_shuffled])
def test_moved_pixels_keep_the_histogram(digits, plant_kind):
    images, _ = digits
    for image, result in zip(images, plant_kind(images, 0), strict=True):
        assert np.array_equal(np.sort(image, axis=None), np.sort(result, axis=None))


def test_shuffled_patches_are_whole_and_every_one_has_moved():
    codes = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image = np.kron(codes, np.ones((7, 7), np.uint8))[np.newaxis]
    for seed in range(20):
        patches = plant_shuffled(image, seed)[0].reshape(4, 7, 4, 7).swapaxes(1, 2).reshape(16, 49)
        assert (patches == patches[:, :1]).all()
        assert sorted(patches[:, 0]) == list(range(16))
        assert (patches[:, 0] != codes.reshape(-1)).all()


def test_shuffling_changes_an_image_with_a_single_bright_pixel():
    images = np.zeros((50, 16, 16), np.uint8)
    images[:, 5, 5] = 255
    assert (plant_shuffled(images, 0)[:, 5, 5] == 0).all()
    assert (plant_noise(images, 0)[:, 5, 5] == 0).all()


def test_noise_has_no_structure_left():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 10:18, 10:18] = 255
    result = plant_noise(image, 0)[0] > 0
    neighbours = (result[:, 1:] & result[:, :-1]).sum()
    assert neighbours < 20  # 56 before


def test_inverting_twice_gives_the_image_back(digits):
    images, _ = digits
    assert np.array_equal(plant_inverted(plant_inverted(images)), images)


def test_blended_images_show_both_sources_and_never_two_of_one_class(digits):
    images, labels = digits
    seen = set()
    for seed in range(10):
        for label, result in zip(labels, plant_blended(images, labels, seed), strict=True):
            bars = {other for other in range(5) if (result[4:16, 3 * other : 3 * other + 3] == 240).all()}
            assert label in bars
            assert len(bars) == 2
            seen |= {(label, *bars - {label})}
    assert len(seen) == 20  # every pair of two classes occurs


def test_blending_one_class_is_refused(digits):
    images, labels = digits
    with pytest.raises(ValueError, match="at least 2 classes to blend"):
        plant_blended(images, np.zeros_like(labels), 0)


@pytest.mark.parametrize("side", [16, 28, 64])
def test_letters_have_ink_differ_and_stay_off_the_middle_by_little(side):
    letters = plant_letter(np.zeros((60, side, side), np.uint8), 0).astype(float)
    bright = (letters > 128).mean(axis=(1, 2))
    assert bright.min() > 0.04
    assert bright.max() < 0.35
    assert len(np.unique(letters, axis=0)) == 60
    places = np.arange(side)
    for axis in (1, 2):
        mass = letters.sum(axis=axis)
        centres = (mass @ places) / mass.sum(axis=1)
        assert np.abs(centres - (side - 1) / 2).max() < 0.04 * side + 1
        assert centres.std() > 0


def make_set(count=400, side=16):
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (count, side, side)).astype(np.uint8)
    return images, random.integers(0, 10, count)


def test_planted_set_holds_the_numbers_asked_for_in_random_order():
    images, labels = make_set()
    planted = plant(KINDS, images, labels, per_kind=20, normal=150, seed=0)
    assert planted.kinds == KINDS
    assert (planted.kind.dtype, planted.images.dtype) == (np.int64, np.uint8)
    assert np.bincount(planted.kind + 1).tolist() == [150, 20, 20, 20, 20, 20]
    assert planted.is_anomaly.sum() == 100
    assert planted.among_normals("blended").sum() == 170
    assert set(planted.kind[planted.among_normals("blended")]) == {NORMAL, KINDS.index("blended")}
    assert np.abs(np.diff(planted.is_anomaly.astype(int))).sum() > 50


def test_normal_images_are_real_and_none_is_the_source_of_an_anomaly():
    images, labels = make_set()
    planted = plant(["inverted"], images, labels, per_kind=100, normal=300, seed=0)
    real = {image.tobytes() for image in images}
    normal = {image.tobytes() for image in planted.images[~planted.is_anomaly]}
    sources = {(255 - image).tobytes() for image in planted.images[planted.is_anomaly]}
    assert len(normal) == 300
    assert len(sources) == 100
    assert normal | sources == real


def test_codes_name_the_kind():
    images, labels = make_set()
    planted = plant(["letter", "inverted"], images, labels, per_kind=30, normal=50, seed=2)
    inverted = planted.images[planted.kind == 1]
    real = {image.tobytes() for image in images}
    assert all((255 - image).tobytes() in real for image in inverted)
    assert (planted.images[planted.kind == 0] == 0).mean() > 0.3


def test_one_class_among_few_sources_is_blended_with_others():
    images, labels = make_set(count=400)
    labels = np.where(np.arange(400) < 8, 1, 0)  # most draws of sources have one class alone
    for seed in range(10):
        planted = plant(("blended",), images, labels, per_kind=2, normal=10, seed=seed)
        assert (planted.kind == 0).sum() == 2
    with pytest.raises(ValueError, match=r"at least 2 classes to blend, received labels \[0\]"):
        plant(("blended",), images, np.zeros_like(labels), per_kind=2, normal=10, seed=0)


def test_few_images_give_few_anomalies_and_leave_half_of_the_images_normal():
    images, labels = make_set(count=60)
    planted = plant(KINDS, images, labels, per_kind=200, normal=2000, seed=0)
    assert np.bincount(planted.kind + 1).tolist() == [30, 6, 6, 6, 6, 6]


def test_equal_seeds_plant_equal_sets():
    images, labels = make_set()
    first, again, other = (plant(KINDS, images, labels, per_kind=5, normal=50, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.kind, again.kind)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize(
    ("kinds", "count", "message"),
    [
        (
            KINDS,
            19,
            "at least 20 images to plant noise, inverted, shuffled, blended, letter, received 19",
        ),
        (("noise", "noise"), 40, "expected each kind once"),
        (("noise", "rotated"), 40, "received 'rotated'"),
    ],
)
def test_impossible_requests_are_refused(kinds, count, message):
    images, labels = make_set(count=count)
    with pytest.raises(ValueError, match=message):
        plant(kinds, images, labels, per_kind=5, normal=5, seed=0)
