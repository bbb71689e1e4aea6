from types import SimpleNamespace

import numpy as np
import pytest

from semisynth.errors import SemisynthError
from semisynth.sampling.latents import between, check_truncation, draw_latents, plane, slerp

NORMAL = SimpleNamespace(latent="normal", latent_size=8, has_latent_space=True, ensemble=1)
UNIFORM = SimpleNamespace(latent="uniform", latent_size=8, ensemble=1)


def draw(labels, numbers, recipe=NORMAL, **options):
    return draw_latents(recipe, np.array(labels), np.array(numbers), **{"seed": 0} | options)


def test_a_latent_depends_on_seed_class_and_number_alone():
    alone = draw([1], [2])
    np.testing.assert_array_equal(draw([0, 1, 1], [2, 1, 2])[2:], alone)
    for other in (draw([0], [2]), draw([1], [3]), draw([1], [2], seed=1), draw([2], [1])):
        assert not np.any(other == alone)


def test_latents_are_standard_normal():
    drawn = draw(np.repeat([0, 1], 1000), np.tile(np.arange(1000), 2))  # 16,000 numbers
    assert drawn.dtype == np.float32
    assert abs(drawn.mean()) < 0.03
    assert drawn.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("truncation", [1e300, 2.0, 0.7, 0.001, 1e-12])
def test_truncation_bounds_every_component(truncation):
    drawn = draw(np.zeros(500, int), np.arange(500), truncation=truncation)
    assert np.abs(drawn.astype(np.float64)).max() < truncation
    assert len(np.unique(drawn)) > 3000  # of 4,000: they are not pushed to the limit


def test_truncation_keeps_what_is_inside_and_follows_the_truncated_normal():
    free, bound = (draw(np.zeros(2000, int), np.arange(2000), truncation=limit) for limit in (None, 1.0))
    inside = np.abs(free) < 1
    np.testing.assert_array_equal(bound[inside], free[inside])
    assert bound.std() == pytest.approx(0.5396, abs=0.01)  # of the normal distribution between -1 and 1
    assert bound[~inside].std() == pytest.approx(0.5396, abs=0.015)


@pytest.mark.parametrize("latent", ["normal", "uniform"])
def test_truncation_leaves_the_choice_of_a_member_as_it_is(latent):
    pooled = SimpleNamespace(latent=latent, latent_size=8, ensemble=3)
    free, bound = (draw(np.zeros(500, int), np.arange(500), pooled, truncation=limit) for limit in (None, 0.2))
    np.testing.assert_array_equal(bound[:, -1], free[:, -1])
    assert np.abs(bound[:, :-1]).max() < 0.2 < np.abs(bound[:, -1]).max()


def test_what_has_no_latent_space_is_not_truncated():
    recipe = SimpleNamespace(name="lstm", has_latent_space=False)
    check_truncation(None, recipe)
    with pytest.raises(SemisynthError, match="recipe `lstm` draws by are no latent space"):
        check_truncation(1.0, recipe)


@pytest.mark.parametrize("truncation", [None, 0.5, 7.0])
def test_uniform_latents_fill_what_truncation_leaves(truncation):
    drawn = draw(np.zeros(2000, int), np.arange(2000), UNIFORM, truncation=truncation)
    limit = min(1, truncation or 1)
    assert np.abs(drawn).max() == pytest.approx(limit, abs=0.001)
    assert drawn.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_the_way_between_uniform_latents_is_straight():
    path = between(UNIFORM, np.array([1, 0], np.float32), np.array([0, 1], np.float32), 3)
    assert path.tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_truncation_of_0_or_less_is_refused(wrong):
    with pytest.raises(SemisynthError, match="`--truncation` must be larger than 0, received"):
        check_truncation(wrong, NORMAL)


def test_slerp_moves_along_the_arc():
    first, last = np.array([2, 0], np.float32), np.array([0, 2], np.float32)
    half = np.sqrt(2)
    assert slerp(first, last, 3) == pytest.approx(np.array([[2, 0], [half, half], [0, 2]]), abs=1e-6)


@pytest.mark.parametrize("last", [(3, 0), (-1, 0), (0, 0), (1, 0)])
def test_slerp_is_straight_where_there_is_no_arc(last):
    path = slerp(np.array([1, 0], np.float32), np.array(last, np.float32), 5)
    assert path == pytest.approx(np.linspace((1, 0), last, 5), abs=1e-6)


def test_slerp_turns_evenly_between_latents_of_unequal_length():
    path = slerp(np.array([1, 0], np.float32), np.array([0, 3], np.float32), 5)
    assert np.linalg.norm(path, axis=1) == pytest.approx([1, 1.5, 2, 2.5, 3], rel=1e-6)
    assert np.degrees(np.arctan2(path[:, 1], path[:, 0])) == pytest.approx([0, 22.5, 45, 67.5, 90], abs=1e-4)


def test_slerp_keeps_the_norm_of_equally_long_latents():
    first, last = (row * 8 / np.linalg.norm(row) for row in draw([0, 0], [0, 1]))
    assert np.linalg.norm(slerp(first, last, 9), axis=1) == pytest.approx([8] * 9, rel=1e-5)


def test_a_plane_runs_from_the_upper_left_to_the_lower_right():
    corners = plane(20, 4.0)[[0, 19, 380, 399]]
    assert corners.tolist() == [[-4, 4], [4, 4], [-4, -4], [4, -4]]
