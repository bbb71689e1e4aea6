import numpy as np
import pytest

from semisynth.quality.memorisation import distance_ratio, memorised_share, nearest_distances


def draw(seed, count):
    return np.random.default_rng(seed).normal(size=(count, 8))


def test_nearest_distances_by_hand():
    queries = np.array([[0.0, 0.0], [10.0, 0.0]])
    assert nearest_distances(queries, np.array([[3.0, 4.0], [10.0, 1.0]])) == pytest.approx([5.0, 1.0])


def test_fresh_draws_are_no_nearer_to_training_images():
    made, training, held_out = draw(0, 2000), draw(1, 1000), draw(2, 1000)
    assert distance_ratio(made, training, held_out) == pytest.approx(1, abs=0.05)
    assert memorised_share(made, draw(3, 3000), held_out) == pytest.approx(0, abs=0.12)


def test_copies_of_training_images_are_found():
    training, held_out = draw(1, 1000), draw(2, 1000)
    assert distance_ratio(training[:300] + 1e-9, training, held_out) < 1e-3
    assert memorised_share(training[:300], training, held_out) == pytest.approx(1)


def test_the_share_of_copies_is_estimated_among_many_training_images():
    training, held_out = draw(1, 4000), draw(2, 1000)
    made = np.concatenate([training[:800], draw(0, 800)])
    assert memorised_share(made, training, held_out) == pytest.approx(0.5, abs=0.1)


def test_distances_that_tie_count_half():
    point = np.zeros((1, 2))
    assert memorised_share(point, point + 1, point - 1) == pytest.approx(0)


def test_unequal_sizes_are_refused():
    with pytest.raises(ValueError, match="as many training as held-out rows"):
        distance_ratio(draw(0, 5), draw(1, 5), draw(2, 4))


def test_copies_of_held_out_images_are_refused():
    held_out = np.zeros((5, 8))
    with pytest.raises(ValueError, match="differ from the held-out ones"):
        distance_ratio(held_out, draw(1, 5), held_out)
