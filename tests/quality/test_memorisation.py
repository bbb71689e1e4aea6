import numpy as np
import pytest

from semisynth.quality.memorisation import distance_ratio, memorisation_auroc, memorised_share, nearest_distances


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


def test_a_copy_is_at_distance_0_whatever_its_features():
    rows = np.maximum(np.random.default_rng(0).normal(size=(300, 128)), 0).astype(np.float32)
    np.testing.assert_array_equal(nearest_distances(rows[::-1], rows), 0)
    assert memorised_share(rows, rows, rows) == pytest.approx(0)


def test_copies_of_held_out_images_are_refused():
    held_out = np.random.default_rng(0).normal(size=(5, 128))
    with pytest.raises(ValueError, match="differ from the held-out ones"):
        distance_ratio(held_out[::-1], held_out + 1, held_out)


def test_the_auroc_of_fresh_draws_copies_and_halves():
    training, held_out, fresh = draw(1, 1000), draw(2, 1000), draw(0, 1000)
    assert memorisation_auroc(fresh, training, held_out) == pytest.approx(0.5, abs=0.03)
    assert memorisation_auroc(training[:400] + 1e-9, training, held_out) == pytest.approx(1, abs=1e-12)
    assert memorisation_auroc(held_out[:400] + 1e-9, training, held_out) == pytest.approx(0, abs=1e-12)
    half = np.concatenate([training[:500], fresh[:500]])
    assert memorisation_auroc(half, training, held_out) == pytest.approx(0.75, abs=0.03)


def test_the_auroc_by_hand():
    # Distances to training images 1 and 4, to held-out ones 2 and 4: pairs 1, 1, 0 and a tie of 4.
    made = np.array([[0.0], [10.0]])
    assert memorisation_auroc(made, np.array([[1.0], [14.0]]), np.array([[-2.0], [6.0]])) == pytest.approx(2.5 / 4)


def test_the_auroc_of_unequal_sizes_is_refused():
    with pytest.raises(ValueError, match="as many training as held-out rows"):
        memorisation_auroc(draw(0, 5), draw(1, 5), draw(2, 4))
