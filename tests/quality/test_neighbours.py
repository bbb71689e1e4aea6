import tracemalloc

import numpy as np
import prdc
import pytest

from semisynth.quality import neighbours
from semisynth.quality.neighbours import neighbourhood, radii


def column(*values):
    return np.array(values, float)[:, np.newaxis]


def test_radii_by_hand():
    line = column(0, 1, 3, 7)
    assert radii(line, 1).tolist() == [1, 1, 2, 4]
    assert radii(line, 2).tolist() == [3, 2, 3, 6]


def test_by_hand():
    # k = 1. Real balls: 0 ± 1, 1 ± 1, 3 ± 2, 7 ± 4. Synthetic: 0.5 ± 3.5, 4 ± 3.5, 20 ± 16.
    scores = neighbourhood(column(0, 1, 3, 7), column(0.5, 4, 20), 1)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.density == pytest.approx((2 + 2 + 0) / 3)
    assert scores.recall == pytest.approx(4 / 4)
    assert scores.coverage == pytest.approx(4 / 4)


def test_a_ball_does_not_hold_its_own_border():
    # The synthetic images lie just on the border of the two real balls, each of radius 2.
    scores = neighbourhood(column(0, 2), column(-2, 4), 1)
    assert (scores.precision, scores.density, scores.coverage) == (0, 0, 0)


def test_collapsed_images_are_precise_and_cover_little():
    random = np.random.default_rng(0)
    real = random.normal(size=(400, 2))
    collapsed = real[:1] + 1e-6 * random.normal(size=(400, 2))
    scores = neighbourhood(real, collapsed)
    assert scores.precision == 1
    assert scores.recall < 0.01
    assert scores.coverage < 0.05


def test_images_far_from_all_real_ones_score_0():
    random = np.random.default_rng(1)
    scores = neighbourhood(random.normal(size=(100, 3)), random.normal(size=(80, 3)) + 100)
    assert scores == (0, 0, 0, 0)


def test_half_of_the_modes():
    random = np.random.default_rng(2)
    modes = np.repeat([[0.0], [50.0]], 300, axis=0)
    real, synthetic = modes + random.normal(size=(600, 2)), random.normal(size=(600, 2))
    scores = neighbourhood(real, synthetic)
    assert scores.precision > 0.95
    assert scores.recall == pytest.approx(0.5, abs=0.05)
    assert scores.coverage == pytest.approx(0.5, abs=0.05)


def test_two_samples_of_one_gaussian_give_the_published_values():
    real, synthetic = np.random.default_rng(0).standard_normal((2, 10_000, 1000), np.float32)
    scores = neighbourhood(real, synthetic, 5)
    assert scores == pytest.approx((0.477, 0.471, 1.056, 0.974), abs=0.03)


@pytest.mark.parametrize(("n", "m", "d", "k"), [(120, 90, 5, 5), (60, 200, 40, 3), (30, 30, 2, 1)])
def test_equal_to_the_authors_package(n, m, d, k):
    random = np.random.default_rng(n)
    real, synthetic = random.normal(size=(n, d)), random.normal(size=(m, d)) + 0.3
    expected = prdc.compute_prdc(real, synthetic, k)
    assert neighbourhood(real, synthetic, k)._asdict() == pytest.approx(expected, abs=1e-12)


def test_blocks_leave_nothing_out(monkeypatch):
    random = np.random.default_rng(4)
    real, synthetic = random.normal(size=(2, 700, 6))
    whole = neighbourhood(real, synthetic)
    monkeypatch.setattr(neighbours, "MEBIBYTES", 0.05)  # 9 rows of 700 distances
    assert neighbourhood(real, synthetic) == pytest.approx(whole)


def test_memory_stays_far_below_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(neighbours, "MEBIBYTES", 1)
    real, synthetic = np.random.default_rng(5).normal(size=(2, 2000, 2))  # a matrix would take 31 MiB
    tracemalloc.start()
    neighbourhood(real, synthetic)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert peak < 8


@pytest.mark.parametrize("k", [0, 5])
def test_too_few_images_for_k_are_refused(k):
    with pytest.raises(ValueError, match="expected"):
        neighbourhood(np.zeros((5, 3)), np.zeros((9, 3)), k)
