import numpy as np
import pytest
from scipy.linalg import sqrtm

from semisynth.quality.frechet import frechet_distance, frechet_from_moments


def random_covariance(random, width):
    factor = random.normal(size=(width, width))
    return factor @ factor.T / width


def test_identical_sets_are_at_distance_0_and_never_below():
    random = np.random.default_rng(0)
    for width in (1, 3, 128):
        features = random.normal(size=(200, width)).astype(np.float32)
        distance = frechet_distance(features, features.copy())
        assert 0 <= distance < 1e-9


def test_identical_sets_of_singular_covariance_are_at_distance_0():
    features = np.zeros((20, 128), np.float32)  # fewer rows than columns, and most columns constant
    features[:, :40] = np.random.default_rng(1).normal(size=(20, 40))
    assert 0 <= frechet_distance(features, features) < 1e-9


def test_shifted_gaussians_have_the_squared_shift_as_their_distance():
    covariance = random_covariance(np.random.default_rng(2), 5)
    shift = np.array([3.0, 0, 0, 4.0, 0])
    assert frechet_from_moments(np.zeros(5), covariance, shift, covariance) == pytest.approx(25)


def test_scaled_gaussians_in_closed_form():
    mean = np.zeros(4)
    # Per axis (sd_a - sd_b)²: four times (3 - 1)².
    assert frechet_from_moments(mean, 9 * np.eye(4), mean, np.eye(4)) == pytest.approx(16)


def test_general_covariances_against_the_matrix_square_root():
    random = np.random.default_rng(3)
    a, b = random_covariance(random, 6), random_covariance(random, 6)
    mean_a, mean_b = random.normal(size=6), random.normal(size=6)
    root = sqrtm(a @ b).real
    expected = np.square(mean_a - mean_b).sum() + np.trace(a + b - 2 * root)
    assert frechet_from_moments(mean_a, a, mean_b, b) == pytest.approx(expected)
    assert frechet_from_moments(mean_b, b, mean_a, a) == pytest.approx(expected)


def test_samples_of_shifted_gaussians_come_near_the_closed_form():
    random = np.random.default_rng(4)
    a = random.normal(size=(20_000, 3))
    b = random.normal(size=(20_000, 3)) * [1, 2, 1] + [2, 0, 0]
    assert frechet_distance(a, b) == pytest.approx(5, rel=0.03)  # 2² + (2 - 1)²


def test_point_masses():
    assert frechet_distance(np.zeros((2, 3)), np.full((4, 3), 2.0)) == pytest.approx(12)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3))),
        (np.zeros((5, 3)), np.zeros((1, 3))),
        (np.zeros((5, 3)), np.zeros((5, 4))),
        (np.zeros(5), np.zeros(5)),
        (np.full((5, 3), np.nan), np.zeros((5, 3))),
    ],
)
def test_wrong_features_are_refused(a, b):
    with pytest.raises(ValueError, match=r"expected .*features"):
        frechet_distance(a, b)


def test_moments_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="expected shapes"):
        frechet_from_moments(np.zeros(3), np.eye(3), np.zeros(2), np.eye(2))
