import numpy as np
import pytest
from scipy.stats import kstest, norm

from semisynth.anomaly.conformal import NormalScale, fisher, least_alpha, p_values


def test_p_values_by_hand():
    calibration = np.array([1.0, 2.0, 2.0, 5.0])
    assert p_values(np.array([0, 1, 2, 3, 9]), calibration).tolist() == [1, 1, 0.8, 0.4, 0.2]
    assert least_alpha(4) == 0.2


def test_p_values_of_normal_images_are_uniform():
    random = np.random.default_rng(0)
    values = p_values(random.gamma(2, size=4000), np.sort(random.gamma(2, size=4000)))
    assert kstest(values, "uniform").pvalue > 0.05


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_false_alarms_stay_near_alpha(alpha):
    random = np.random.default_rng(1)
    values = p_values(random.standard_cauchy(20_000), np.sort(random.standard_cauchy(5_000)))
    assert np.mean(values <= alpha) == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 5_000))


def test_a_scale_turns_any_distribution_normal():
    random = np.random.default_rng(0)
    scale = NormalScale.fit(random.exponential(size=20_000))
    heights = scale(random.exponential(size=5_000))
    assert kstest(heights, norm.cdf).pvalue > 0.01


def test_equal_scores_stand_at_the_middle_of_their_ranks():
    scale = NormalScale.fit(np.repeat([0.0, 1.0], [6000, 2000]))
    assert norm.cdf(scale(np.array([0.0, 1.0]))) == pytest.approx([3 / 8, 7 / 8], abs=5e-3)


@pytest.mark.parametrize("scores", [np.arange(1000.0), np.repeat([0.0, 1.0], 50), np.zeros(30)])
def test_a_scale_rises_without_end_on_both_sides(scores):
    scale = NormalScale.fit(scores)
    heights = scale(np.array([-1e9, -1.0, scores.max() + 1, 1e9]))
    assert (np.diff(heights) > 0).all()
    assert np.isfinite(heights).all()
    inside = scale(np.unique(scores))
    assert (np.diff(inside) > 0).all()


def test_one_sure_member_suffices_for_fisher():
    even = np.ones(2)
    assert fisher(np.array([[0.0, 6.0], [0.0, 0.0]]), even)[1] > fisher(np.array([[2.0], [2.0]]), even)[0]
    assert fisher(np.zeros((3, 1)), np.array([1.0, 2.0, 5.0])) == pytest.approx([np.log(2)])


def test_fisher_weighs_members():
    scores = np.array([[3.0, 0.0], [0.0, 3.0]])
    first, second = fisher(scores, np.array([3.0, 1.0]))
    assert first == pytest.approx((3 * -np.log(norm.sf(3)) + np.log(2)) / 4)
    assert first > second
