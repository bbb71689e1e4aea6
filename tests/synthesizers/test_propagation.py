import numpy as np
import pytest
from scipy import sparse

from semisynth.synthesizers import propagation
from semisynth.synthesizers.propagation import (
    DOUBT,
    NEIGHBOURS,
    SHARPENING,
    certainty,
    counts_of,
    graph_of_similar,
    neighbours,
    spread,
)


def propagate(features, known, labels, classes, votes=None, *, even=True):
    """Class probabilities of images with `features`, from those with `known` ones and `labels`."""
    rows = np.concatenate([known, features])
    return spread(graph_of_similar(*neighbours(rows, NEIGHBOURS)), labels, classes, votes, even=even)


def cluster(centre, count, seed, spread=0.05):
    """`count` points near the axis `centre` of eight."""
    points = spread * np.random.default_rng(seed).normal(size=(count, 8))
    points[:, centre] += 1
    return points.astype(np.float32)


def labels(*values):
    return np.array(values, np.int64)


def chained(count, start):
    """Points along a quarter circle in the plane of axes `start` and `start + 1`."""
    angles = np.linspace(0, np.pi / 2, count)
    points = np.zeros((count, 8), np.float32)
    points[:, start], points[:, start + 1] = np.cos(angles), np.sin(angles)
    return points


def test_a_label_fills_its_cluster():
    features = np.concatenate([cluster(0, 40, 1), cluster(1, 25, 2)])
    received = propagate(features, np.concatenate([cluster(1, 1, 3), cluster(0, 1, 4)]), labels(1, 0), 2)
    assert received.shape == (65, 2)
    assert received.dtype == np.float32
    assert (received[:40, 0] > 0.99).all()
    assert (received[40:, 1] > 0.99).all()


def test_labels_follow_the_manifold_where_the_nearest_label_is_wrong():
    """Two arcs; the far end of the first lies nearer to the second's label than to its own."""
    first, second = chained(60, 0), chained(60, 0)
    second[:, 2] += 0.8  # an arc over the first
    features = np.concatenate([first, second])
    received = propagate(features, np.stack([first[0], second[-1]]), labels(0, 1), 2)
    nearest = features @ np.stack([first[0], second[-1] / np.linalg.norm(second[-1])]).T
    assert nearest[59].argmax() == 1  # the nearest label errs
    assert (received.argmax(axis=1) == np.repeat([0, 1], 60)).all()


def test_votes_decide_a_cluster_without_a_label_and_no_other(monkeypatch):
    """Two labelled clusters, and a third one that only touches the first: as it is in doubt, votes decide."""
    monkeypatch.setattr(propagation, "reach_of", lambda known, images: 0.99)  # as among few labels
    third = cluster(2, 30, 5)
    bridge = np.linspace(cluster(0, 1, 6)[0], third[0], 12).astype(np.float32)
    features = np.concatenate([cluster(0, 30, 1), cluster(1, 30, 2), third, bridge])
    known = np.concatenate([cluster(0, 1, 3), cluster(1, 1, 4)])
    votes = np.full((len(features), 2), 0.5, np.float32)
    votes[:30] = 0.3, 0.7  # less sure than the label
    votes[60:90] = 0.05, 0.95
    alone, helped = (propagate(features, known, labels(0, 1), 2, given) for given in (None, votes))
    assert (alone[60:90, 0] > 0.5).all()
    assert (alone[60:90, 0] < 0.9).all()
    assert (helped[60:90, 1] > 0.9).all()
    assert (helped[:30].argmax(axis=1) == 0).all()
    assert (helped[30:60].argmax(axis=1) == 1).all()


def test_what_labels_hardly_reach_is_in_doubt():
    """A hundred images with a label among them, and thirty apart, of which one casts a vote."""
    features = np.concatenate([cluster(0, 100, 1), cluster(1, 30, 2)])
    votes = np.full((130, 2), 0.5, np.float32)
    votes[:100], votes[115] = (0.99, 0.01), (0.01, 0.99)
    received = propagate(features, cluster(0, 1, 3), labels(0), 2, votes, even=False)
    assert (received[:100, 0] > 0.99).all()
    assert (received[100:, 1] > 0.5).all()
    assert (np.delete(received[100:, 1], 15) < 0.9).all()


@pytest.mark.parametrize("unreached", [3, 40])
def test_doubt_is_measured_by_the_images_that_labels_reach(unreached):
    """Twenty reached, one on a thin edge to them, others alone: fewer than these, or more."""
    count = 22 + unreached
    edges = np.zeros((count, count), np.float32)
    edges[:21, :21] = (1 - np.eye(21)) / 21
    edges[20, 21] = edges[21, 20] = 1e-4
    received = spread(sparse.csr_array(edges), labels(0), 2)
    assert (received[:20, 0] > 0.99).all()
    assert 0.5 < received[20, 0] < 0.6
    np.testing.assert_allclose(received[21:], 0.5)


def test_even_votes_say_nothing():
    """Classes of 200 and 60 images, and 30 apart from both: without votes, these are not taken for the rarer."""
    features = np.concatenate([cluster(0, 200, 1), cluster(1, 60, 2), cluster(2, 30, 3)])
    votes = np.repeat([[0.98, 0.02], [0.02, 0.98], [0.5, 0.5]], [200, 60, 30], axis=0).astype(np.float32)
    known = np.concatenate([cluster(0, 1, 4), cluster(1, 1, 5)])
    received = propagate(features, known, labels(0, 1), 2, votes)
    np.testing.assert_array_equal(received[:260].argmax(axis=1), np.repeat([0, 1], [200, 60]))
    np.testing.assert_allclose(received[260:], 0.5)


@pytest.mark.parametrize(
    ("known", "images", "reach"), [(100, 54_000, 0.99), (540, 54_000, 0.95), (1000, 50_000, 0.9), (9, 10, 0.8)]
)
def test_a_label_reaches_less_far_the_more_images_have_one(known, images, reach):
    assert propagation.reach_of(known, images) == pytest.approx(reach)


def test_among_many_labels_those_nearby_decide(monkeypatch):
    """A chessboard of two classes, every fifth point labelled; a label that reaches far crosses its square."""
    points = np.random.default_rng(0).uniform(size=(1000, 2))
    truth = np.floor(4 * points).sum(axis=1).astype(np.int64) % 2
    features = np.column_stack([points, np.ones(1000)]).astype(np.float32)

    def share_right():
        received = propagate(features[200:], features[:200], truth[:200], 2)
        return (received.argmax(axis=1) == truth[200:]).mean()

    near = share_right()
    monkeypatch.setattr(propagation, "reach_of", lambda known, images: 0.99)
    assert near > 0.85
    assert share_right() < 0.8


def test_hardly_any_votes_for_a_class_weigh_next_to_nothing():
    """A class without a label, which an earlier spreading reached by rounding alone, is not spread over all."""
    features, known = cluster(0, 40, 1), cluster(0, 2, 2)
    votes = np.tile(np.array([1, 1e-12], np.float32), (40, 1))
    assert (propagate(features, known, labels(0, 0), 2, votes)[:, 1] < 1e-3).all()


def test_votes_for_a_class_weigh_the_same_however_many_they_are():
    features, known = cluster(0, 40, 1, 0.5), cluster(1, 4, 2, 0.5)
    votes = np.random.default_rng(0).uniform(0.1, 1, (40, 2)).astype(np.float32)
    expected = propagate(features, known, labels(0, 0, 1, 1), 2, votes)
    scaled = votes * np.array([5, 0.1], np.float32)
    np.testing.assert_allclose(propagate(features, known, labels(0, 0, 1, 1), 2, scaled), expected, atol=1e-4)


def test_where_classes_are_uneven_each_vote_weighs_the_same():
    """A class ten times as large as the other, and a way of writing it without a label: its votes are for it."""
    features = np.concatenate([cluster(0, 200, 1), cluster(1, 20, 2), cluster(2, 30, 3)])
    known = np.concatenate([cluster(0, 1, 4), cluster(1, 1, 5)])
    votes = np.repeat([[0.98, 0.02], [0.02, 0.98], [0.83, 0.17]], [200, 20, 30], axis=0).astype(np.float32)
    uneven, even = (propagate(features, known, labels(0, 1), 2, votes, even=even) for even in (False, True))
    np.testing.assert_array_equal(uneven.argmax(axis=1), np.repeat([0, 1, 0], [200, 20, 30]))
    assert (even[220:].argmax(axis=1) == 1).all()  # votes for the rare class weigh more, were classes even


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_probabilities_sum_to_1(classes):
    random = np.random.default_rng(0)
    features, known = (random.normal(size=(count, 5)).astype(np.float32) for count in (50, 9))
    received = propagate(features, known, np.arange(9) % classes, classes)
    assert received.min() >= 0
    np.testing.assert_allclose(received.sum(axis=1), 1, atol=1e-5)


def test_the_length_of_a_feature_vector_does_not_matter():
    features, known = cluster(0, 30, 1, 0.5), cluster(1, 3, 2, 0.5)
    lengths = np.random.default_rng(3).uniform(0.1, 10, (30, 1)).astype(np.float32)
    expected = propagate(features, known, labels(0, 1, 1), 2)
    np.testing.assert_allclose(propagate(features * lengths, known, labels(0, 1, 1), 2), expected, atol=1e-3)


def test_many_labels_of_one_class_do_not_swallow_the_other():
    """The same cloud between both; thirty labels against one, and yet the middle is split about evenly."""
    between = np.concatenate([cluster(0, 60, 1, 0.3), cluster(1, 60, 2, 0.3)])
    known = np.concatenate([cluster(0, 30, 3, 0.3), cluster(1, 1, 4, 0.05)])
    received = propagate(between, known, labels(*[0] * 30, 1), 2)
    guessed = received.argmax(axis=1)
    assert (guessed[:60] == 0).mean() > 0.9
    assert (guessed[60:] == 1).mean() > 0.9


def test_doubled_labels_change_nothing_by_their_number():
    """On a graph where all are joined to all alike, a class's mass alone counts."""
    features = np.ones((3, 4), np.float32)
    received = propagate(features, np.ones((5, 4), np.float32), labels(0, 0, 0, 0, 1), 2)
    np.testing.assert_allclose(received, 0.5, atol=0.01)


def test_classes_may_be_of_any_size():
    features = np.concatenate([cluster(0, 90, 1), cluster(1, 12, 2)])
    received = propagate(
        features, np.concatenate([cluster(0, 3, 3), cluster(1, 3, 4)]), labels(0, 0, 0, 1, 1, 1), 2
    )
    assert received.argmax(axis=1).tolist() == [0] * 90 + [1] * 12


def test_what_no_label_reaches_is_open():
    features = np.concatenate([cluster(0, 20, 1), cluster(1, 20, 2), cluster(2, 20, 3)])
    received = propagate(features, np.concatenate([cluster(0, 1, 4), cluster(1, 1, 5)]), labels(0, 1), 4)
    np.testing.assert_allclose(received[40:], 0.25, atol=1e-6)
    assert certainty(received)[:40].min() > 0.9
    assert certainty(received)[40:].max() < 1e-5


@pytest.mark.parametrize("block", [1, 7, 33])
def test_blocks_make_no_difference(monkeypatch, block):
    random = np.random.default_rng(0)
    features, known = (random.normal(size=(count, 6)).astype(np.float32) for count in (60, 6))
    expected = propagate(features, known, np.arange(6) % 3, 3)
    monkeypatch.setattr(propagation, "_BLOCK", block)
    np.testing.assert_allclose(propagate(features, known, np.arange(6) % 3, 3), expected, atol=1e-5)


@pytest.mark.parametrize("block", [4, 2000])
def test_neighbours_are_the_nearest_others(monkeypatch, block):
    monkeypatch.setattr(propagation, "_BLOCK", block)
    rows = np.random.default_rng(0).normal(size=(15, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similar, nearest = neighbours(rows, 3)
    cosines = rows @ rows.T - 5 * np.eye(15, dtype=np.float32)
    np.testing.assert_array_equal(nearest, np.argsort(-cosines, axis=1)[:, :3])
    np.testing.assert_allclose(similar, -np.sort(-cosines, axis=1)[:, :3], atol=1e-6)


def test_among_equals_none_is_its_own_neighbour():
    rows = np.tile(np.float32([[0.6, 0.8]]), (30, 1))
    similar, nearest = neighbours(rows, 5)
    assert similar.shape == nearest.shape == (30, 5)
    assert (nearest != np.arange(30)[:, np.newaxis]).all()
    assert all(len(set(row)) == 5 for row in nearest.tolist())


def test_the_graph_is_symmetric_and_normalised():
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    graph = graph_of_similar(*neighbours(rows, NEIGHBOURS)).toarray()
    np.testing.assert_allclose(graph, graph.T, atol=1e-7)
    assert (np.diag(graph) == 0).all()
    assert ((graph > 0).sum(axis=1) >= NEIGHBOURS).all()
    assert np.abs(np.linalg.eigvalsh(graph.astype(float))).max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("unknown", "known"), [(0, 1), (1, 0), (0, 0)])
def test_fewer_than_two_images_are_refused(unknown, known):
    with pytest.raises(ValueError, match=f"expected two images at least, received {unknown + known}"):
        propagate(np.ones((unknown, 4), np.float32), np.ones((known, 4), np.float32), np.zeros(known, np.int64), 2)


def test_two_images_are_enough():
    received = propagate(cluster(0, 1, 1), cluster(0, 1, 2), labels(1), 3)
    doubt = (DOUBT / (1 + DOUBT)) ** SHARPENING
    np.testing.assert_allclose(received, np.array([[doubt, 1, doubt]]) / (1 + 2 * doubt), rtol=1e-5)


def test_undecided_images_count_for_no_class():
    even = np.full((2, 3), 1 / 3, np.float32)
    found = np.concatenate([even, np.eye(3, dtype=np.float32)[[2, 0, 2]]])
    np.testing.assert_array_equal(counts_of(found), [1, 0, 2])


def test_features_of_length_0_harm_nothing():
    features = np.concatenate([cluster(0, 5, 1), np.zeros((3, 8), np.float32)])
    received = propagate(features, cluster(0, 1, 2), labels(0), 2)
    assert np.isfinite(received).all()


@pytest.mark.parametrize("classes", [2, 10])
def test_certainty_by_hand(classes):
    half = np.zeros(classes)
    half[:2] = 0.5
    probabilities = np.stack([np.eye(classes)[0], np.full(classes, 1 / classes), half]).astype(np.float32)
    received = certainty(probabilities)
    assert received.shape == (3,)
    assert received.dtype == np.float32
    assert received.tolist() == pytest.approx([1, 0, 1 - np.log(2) / np.log(classes)], abs=1e-5)
