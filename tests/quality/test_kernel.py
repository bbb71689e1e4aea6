import numpy as np
import pytest

from semisynth.quality import kernel
from semisynth.quality.kernel import kernel_distance, squared_mmd


def test_by_hand():
    # d = 1. Kernels (xy + 1)³: within {0, 1}: 1; within {2, 3}: 7³ = 343; across: 1, 1, 27, 64.
    a, b = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert squared_mmd(a, b) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_the_width_divides_the_inner_product():
    # Four equal columns of halves: x · y / 4 is the product of the halves.
    a, b = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert squared_mmd(np.repeat(a, 4, 1), np.repeat(b, 4, 1)) == pytest.approx(squared_mmd(a, b))


def test_without_bias_even_for_few_images():
    random = np.random.default_rng(0)
    estimates = [squared_mmd(random.normal(size=(6, 4)), random.normal(size=(9, 4))) for _ in range(3000)]
    assert abs(np.mean(estimates)) < 4 * np.std(estimates) / np.sqrt(len(estimates))
    assert min(estimates) < 0 < max(estimates)


def test_blocks_leave_nothing_out(monkeypatch):
    random = np.random.default_rng(1)
    a, b = random.normal(size=(50, 3)), random.normal(size=(41, 3))
    whole = squared_mmd(a, b)
    monkeypatch.setattr(kernel, "BLOCK", 7)
    assert squared_mmd(a, b) == pytest.approx(whole)


def test_shifted_sets_are_farther_the_more_they_are_shifted():
    random = np.random.default_rng(2)
    a, b = random.normal(size=(800, 16)), random.normal(size=(900, 16))
    distances = [kernel_distance(a, b + shift, subsets=5, subset_size=500)[0] for shift in (0, 0.5, 1)]
    assert abs(distances[0]) < 0.02
    assert 10 * abs(distances[0]) < distances[1] < distances[2] / 2


def test_subsets_average_to_the_whole_and_follow_the_seed():
    random = np.random.default_rng(3)
    a, b = random.normal(size=(300, 8)), random.normal(size=(300, 8)) + 0.5
    mean, deviation = kernel_distance(a, b, subsets=200, subset_size=100, seed=4)
    assert mean == pytest.approx(squared_mmd(a, b), abs=4 * deviation / np.sqrt(200))
    assert deviation > 0
    assert kernel_distance(a, b, subsets=3, subset_size=100, seed=4) == kernel_distance(
        a, b, subsets=3, subset_size=100, seed=4
    )


def test_a_subset_as_large_as_the_sets_is_the_whole():
    random = np.random.default_rng(5)
    a, b = random.normal(size=(20, 3)), random.normal(size=(20, 3))
    mean, deviation = kernel_distance(a, b, subsets=4)
    assert mean == pytest.approx(squared_mmd(a, b))
    assert deviation == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("b", [np.zeros((1, 3)), np.zeros((5, 4)), np.full((5, 3), np.inf)])
def test_wrong_features_are_refused(b):
    with pytest.raises(ValueError, match=r"expected .*features"):
        squared_mmd(np.zeros((5, 3)), b)
