import math

import numpy as np
import pytest

from semisynth.data.imageset import ImageSet
from semisynth.quality.report import Measured, distance_metrics, histogram_metrics, label_metrics

NAMES = ("zero", "one", "two")


def measured(seed, per_class, shift=0.0):
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], per_class)
    features = random.normal(size=(len(labels), 4)) + 10.0 * labels[:, np.newaxis] + shift
    return Measured(features.astype(np.float32), labels)


def test_real_images_as_good_as_real_ones_stand_at_the_floor():
    metrics = distance_metrics(measured(0, 300), measured(1, 900), measured(2, 300), images=600, seed=0)
    assert metrics["images"] == 600
    assert metrics["frechet_distance"] == pytest.approx(metrics["frechet_floor"], abs=2)
    assert metrics["kernel_distance"] == pytest.approx(metrics["kernel_floor"], abs=3 * metrics["kernel_floor_sd"])
    for name in ("precision", "recall", "density", "coverage", "nearest_distance_ratio", "memorisation_auroc"):
        assert metrics[name] == pytest.approx(metrics[f"{name}_of_real"], abs=0.2), name
        assert metrics[name] > 0.4
    assert metrics["nearest_distance_ratio"] == pytest.approx(1, abs=0.2)
    assert abs(metrics["memorised_share"]) < 0.2


def test_shifted_images_are_far_from_real_ones():
    metrics = distance_metrics(measured(0, 300, shift=5.0), measured(1, 300), measured(2, 300), images=900, seed=0)
    assert metrics["frechet_distance"] == pytest.approx(100, rel=0.1)
    assert metrics["frechet_floor"] < 2
    assert metrics["kernel_distance"] > metrics["kernel_floor"] + 3 * metrics["kernel_floor_sd"]
    assert metrics["precision"] < 0.1 < 0.9 < metrics["precision_of_real"]
    assert metrics["coverage"] < 0.1 < 0.8 < metrics["coverage_of_real"]


@pytest.mark.parametrize("images", [2, 3])
def test_a_handful_of_images_is_measured_too(images):
    metrics = distance_metrics(measured(0, 5), measured(1, 9), measured(2, 5), images=images, seed=0)
    assert metrics["images"] == images
    assert all(math.isfinite(value) for value in metrics.values())


def test_a_ratio_to_copies_of_held_out_images_is_left_out():
    test = measured(2, 30)
    metrics = distance_metrics(test, measured(1, 30), test, images=90, seed=0)
    assert metrics["nearest_distance_ratio"] is None
    assert metrics["memorisation_auroc"] == 0


def test_memorisation_is_judged_by_all_test_images_however_few_are_compared():
    training, test = measured(1, 300), measured(2, 300)
    some = test.sample(600, 7)
    copies_of_test = Measured(some.features + np.float32(1e-3), some.labels)
    metrics = distance_metrics(copies_of_test, training, test, images=300, seed=0)
    assert metrics["memorised_share"] == pytest.approx(-1)  # no nearest image is a training image, 1 in 2 expected


def test_copies_of_training_images_show_though_only_some_are_compared():
    training = measured(1, 900)
    metrics = distance_metrics(training.sample(300, 5), training, measured(2, 300), images=300, seed=0)
    assert metrics["memorised_share"] == pytest.approx(1)


def test_samples_keep_features_and_labels_together():
    data = Measured(np.arange(50, dtype=np.float32)[:, np.newaxis], np.arange(50))
    sample = data.sample(20, 3)
    assert len(sample) == 20
    assert np.array_equal(sample.features[:, 0], sample.labels)
    assert len(np.unique(sample.labels)) == 20
    assert np.array_equal(sample.labels, data.sample(20, 3).labels)
    assert len(data.sample(80, 3)) == 50


def test_label_metrics_of_a_generator_that_makes_one_class():
    made, test = measured(0, 10), measured(2, 40)
    collapsed = Measured(np.zeros_like(made.features), made.labels)
    metrics, rows = label_metrics(collapsed, np.full(30, 1), test, NAMES, images=1000, seed=0)
    assert metrics["label_agreement"] == pytest.approx(1 / 3)
    assert metrics["label_agreement_per_class"] == {"zero": 0.0, "one": 1.0, "two": 0.0}
    assert metrics["class_histogram"] == {"zero": 0, "one": 30, "two": 0}
    assert metrics["mode_entropy"] == 0
    assert metrics["mode_entropy_of_even_classes"] == pytest.approx(math.log(3))
    assert metrics["diversity_ratio"] == 0
    assert rows[1] == {"class": "one", "agreement": 1.0, "images": 10, "diversity": 0.0}


def test_without_two_real_images_of_any_class_there_is_no_diversity():
    made, test = measured(0, 10), measured(2, 1)
    metrics, rows = label_metrics(made, made.labels, test, NAMES, images=1000, seed=0)
    assert metrics["diversity_ratio"] is None
    assert [row["diversity"] for row in rows] == [None] * 3


def test_a_class_nobody_asked_for_has_a_row_too():
    made = Measured(np.zeros((2, 4), np.float32), np.array([0, 0]))
    _, rows = label_metrics(made, np.array([0, 0]), measured(2, 5), NAMES, images=1000, seed=0)
    assert rows[2] == {"class": "two", "agreement": None, "images": 0, "diversity": 0.0}


def image_set(images, labels):
    return ImageSet(np.array(images, np.uint8), np.array(labels), NAMES, "test", pool=len(labels))


def test_histograms_by_hand():
    black, white = np.zeros((4, 16, 16)), np.full((4, 16, 16), 255)
    test, alike = image_set(black, [0, 0, 1, 2]), image_set(black + 1, [0, 0, 1, 2])
    metrics = histogram_metrics(np.array([2, 2, 2, 2]), image_set(white, [0, 0, 1, 2]), alike, test)
    assert metrics["class_histogram_distance"]["total_variation"] == pytest.approx(3 / 4)
    assert metrics["class_histogram_distance"]["earth_movers"] == pytest.approx(5 / 4)
    assert metrics["pixel_histogram_distance"]["total_variation"] == 1
    assert metrics["pixel_histogram_distance"]["earth_movers"] == pytest.approx(31 * 8)
    assert metrics["pixel_histogram_distance"]["kl_divergence"] is None
    for name in ("class_histogram_floor", "pixel_histogram_floor"):
        assert set(metrics[name].values()) == {0.0}
