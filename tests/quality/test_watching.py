from dataclasses import replace

import keras
import numpy as np
import pytest

from semisynth.data.imageset import ImageSet
from semisynth.quality.collapse import Diversity
from semisynth.quality.watching import CollapseWatch, eyes_of


def noise(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16), np.uint8)


REAL = ImageSet(noise(0, 60), np.arange(60) % 3, ("a", "b", "c"), "noise", 60)


def repeated(images):
    return np.resize(images, (500, 16, 16))


@pytest.fixture
def watch(tmp_path):
    return CollapseWatch(REAL, tmp_path / "diversity", seed=1)


def test_diverse_samples_raise_no_alarm(watch):
    assert [watch.look(number, noise(number, 500), None) for number in (1, 2, 3)] == [None] * 3
    assert watch.epochs() == [Diversity(pytest.approx(1, abs=0.05), pytest.approx(1, abs=0.1))] * 3
    assert watch.summary()["mode_collapse"] is False


def test_the_alarm_rings_once_and_stands(watch):
    heard = [watch.look(number, repeated(noise(1, 1)), None) for number in (1, 2, 3)]
    assert [line is not None for line in heard] == [False, True, False]
    assert "differ from one another 0.00 times" in heard[1]
    assert watch.summary() == {"diversity": {"features": 0, "classes": 0}, "mode_collapse": True}


def test_it_goes_on_with_what_was_measured_before_and_measures_an_epoch_anew(watch):
    watch.look(1, repeated(noise(1, 1)), None)
    again = CollapseWatch(REAL, watch.folder, seed=1)
    assert again.look(2, repeated(noise(1, 1)), None)
    assert again.look(2, noise(1, 500), None) is None
    assert len(again.epochs()) == 2


def test_a_network_sees_what_pixels_do_not(tmp_path):
    """A planted network tells the balance of left and right: samples of one balance are alike to it."""
    images = keras.Input((16, 16, 1))
    halves = keras.layers.Flatten()(keras.layers.AveragePooling2D((16, 8))(images + 1))
    eyes = eyes_of(keras.Model(images, {"features": halves}))
    seen = eyes(noise(3, 700))
    assert (seen.shape, seen.dtype) == ((700, 2), np.float32)
    assert np.square(seen).sum(axis=1) == pytest.approx(1)
    balance = np.random.default_rng(0).uniform(0.2, 1, (60, 1, 2, 1))
    real = (noise(0, 60).reshape(60, 16, 2, 8) * balance).reshape(60, 16, 16).astype(np.uint8)
    by_pixels, by_network = (
        CollapseWatch(replace(REAL, images=real), tmp_path / name, seed=1, **options)
        for name, options in (("pixels", {}), ("network", {"eyes": eyes}))
    )
    samples = noise(1, 500)
    heard = [[watch.look(number, samples, None) for number in (1, 2)] for watch in (by_pixels, by_network)]
    assert heard[0] == [None, None]
    assert heard[1][0] is None
    assert "differ from one another 0.1" in heard[1][1]


def test_one_image_a_class_is_seen_within_the_classes(watch):
    """Three images in turn, one for each class asked for."""
    watch.look(1, repeated(noise(1, 3)), watch.asked, told=True)
    watch.look(2, repeated(noise(1, 3)), None)
    within, together = watch.epochs()
    assert (within.features, together.features) == pytest.approx((0, 2 / 3), abs=0.05)
    assert within.classes == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("asked", [True, False])
def test_a_class_that_is_left_out_is_seen_though_nothing_tells_classes(tmp_path, asked):
    """Classes of different brightness; the samples, whatever they were asked for, are all of the first."""
    shades = noise(0, 60) // 2 + 60 * (np.arange(60) % 3)[:, np.newaxis, np.newaxis].astype(np.uint8)
    watch = CollapseWatch(replace(REAL, images=shades), tmp_path / "diversity", seed=1)
    heard = [
        watch.look(number, noise(number, 500) // 2, watch.asked if asked else None, told=False)
        for number in (1, 2)
    ]
    assert heard[0] is None
    assert "entropy of the samples' classes is 0.00" in heard[1]


def test_samples_as_uneven_as_the_data_raise_no_alarm(tmp_path):
    """Classes of different brightness; of the data and of the samples, 19 of 20 images are of the first."""

    def uneven(seed):
        shade = np.where(np.arange(500) % 20 == 0, 120, 0).astype(np.uint8)
        return noise(seed, 500) // 4 + shade[:, np.newaxis, np.newaxis]

    shades = noise(0, 60) // 4 + 60 * (np.arange(60) % 3)[:, np.newaxis, np.newaxis].astype(np.uint8)
    real = replace(REAL, images=shades)
    watches = CollapseWatch(real, tmp_path / "even", 1), CollapseWatch(real, tmp_path / "like", 1, like=uneven(5))
    heard = [[watch.look(number, uneven(number), None) for number in (1, 2)][1] for watch in watches]
    assert "entropy of the samples' classes is 0.18 times" in heard[0]
    assert heard[1] is None
    assert watches[1].epochs()[1].classes == pytest.approx(1, abs=0.05)


def test_without_two_real_images_of_a_class_nothing_is_measured(tmp_path):
    few = ImageSet(noise(0, 3), np.arange(3), ("a", "b", "c"), "noise", 3)
    watch = CollapseWatch(few, tmp_path / "diversity", seed=1)
    assert watch.look(1, repeated(noise(1, 1)), None) is None
    assert watch.summary() == {"diversity": None, "mode_collapse": False}


def test_more_classes_than_samples_can_show_twice_are_not_watched(tmp_path):
    many = ImageSet(noise(0, 600), np.arange(600) % 300, tuple(map(str, range(300))), "noise", 600)
    watch = CollapseWatch(many, tmp_path / "diversity", seed=1)
    assert [watch.look(number, noise(number, 500), watch.asked) for number in (1, 2)] == [None, None]
    assert watch.summary() == {"diversity": None, "mode_collapse": False}


def test_trainings_that_follow_each_other_are_watched_one_by_one(tmp_path):
    """The first collapses; the second is as diverse as can be, the third collapses from its first epoch on."""
    watch = CollapseWatch(REAL, tmp_path / "diversity", seed=1, each=2)
    alike, diverse = repeated(noise(1, 1)), noise(1, 500)
    heard = [
        watch.look(number, one, None) for number, one in enumerate([alike] * 2 + [diverse] * 2 + [alike] * 2, 1)
    ]
    assert [line is not None for line in heard] == [False, True, False, False, False, True]
    assert watch.summary() == {"diversity": {"features": 0, "classes": 0}, "mode_collapse": True}
