import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from semisynth.quality.histograms import (
    earth_movers,
    histogram_distances,
    jensen_shannon,
    kl_divergence,
    pixel_histogram,
    total_variation,
)

EVEN, SKEWED = np.array([2, 2]), np.array([1, 3])
FIRST, LAST = np.array([5, 0, 0]), np.array([0, 0, 9])


def test_worked_example():
    # Shares (1/2, 1/2) and (1/4, 3/4), average (3/8, 5/8).
    assert total_variation(EVEN, SKEWED) == pytest.approx(1 / 4)
    assert kl_divergence(EVEN, SKEWED) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert kl_divergence(SKEWED, EVEN) == pytest.approx(0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2))
    by_hand = 0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5) + 0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5)
    assert jensen_shannon(EVEN, SKEWED) == pytest.approx(by_hand / 2)
    assert earth_movers(EVEN, SKEWED) == pytest.approx(1 / 4)


def test_histograms_without_a_common_bin_are_as_far_as_can_be():
    assert total_variation(FIRST, LAST) == 1
    assert kl_divergence(FIRST, LAST) == math.inf
    assert jensen_shannon(FIRST, LAST) == pytest.approx(math.log(2))
    assert earth_movers(FIRST, LAST, spacing=8) == 16
    assert histogram_distances(FIRST, LAST)["kl_divergence"] is None


def test_a_missing_class_is_finite_one_way_and_infinite_the_other():
    missing, real = np.array([1, 1, 0]), np.array([1, 1, 1])
    assert kl_divergence(missing, real) == pytest.approx(math.log(3 / 2))
    assert kl_divergence(real, missing) == math.inf


def test_earth_movers_counts_how_far():
    assert earth_movers(np.array([4, 0, 0, 0]), np.array([3, 1, 0, 0])) == pytest.approx(1 / 4)
    assert earth_movers(np.array([4, 0, 0, 0]), np.array([3, 0, 0, 1])) == pytest.approx(3 / 4)


def test_equal_shares_are_at_0_whatever_the_counts():
    counts = np.array([3, 5, 0, 7])
    for distance in histogram_distances(counts, 11 * counts).values():
        assert distance == pytest.approx(0, abs=1e-12)


def test_against_scipy():
    random = np.random.default_rng(0)
    a, b = random.integers(1, 50, (2, 20))
    places = np.arange(20)
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(a, b) ** 2)
    assert earth_movers(a, b, spacing=3) == pytest.approx(3 * wasserstein_distance(places, places, a, b))


@pytest.mark.parametrize(
    "a", [np.zeros(2), np.array([1, -1]), np.array([1.0, np.nan]), np.ones(3), np.ones((1, 2))]
)
@pytest.mark.parametrize("distance", [total_variation, kl_divergence, jensen_shannon, earth_movers])
def test_what_is_no_histogram_is_refused(distance, a):
    with pytest.raises(ValueError, match="expected"):
        distance(a, np.array([1.0, 2.0]))


def test_pixels_fall_into_their_bins():
    images = np.array([[[0, 7], [8, 255]]], np.uint8)
    assert pixel_histogram(images, 32)[[0, 1, 31]].tolist() == [2, 1, 1]
    assert pixel_histogram(images, 32).sum() == 4
    assert pixel_histogram(images, 1).tolist() == [4]


def test_bins_that_do_not_divide_the_grey_levels_are_refused():
    with pytest.raises(ValueError, match="divides 256, received 10"):
        pixel_histogram(np.zeros((1, 2, 2), np.uint8), 10)
