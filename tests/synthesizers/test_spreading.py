from dataclasses import replace

import keras
import numpy as np
import pytest

from semisynth.data.gradients import gradient_histograms
from semisynth.data.imageset import ImageSet
from semisynth.synthesizers import propagation, spreading
from semisynth.synthesizers.deformation import deformed_distances
from semisynth.synthesizers.propagation import NEIGHBOURS, graph_of, graph_of_similar, neighbours, spread
from semisynth.synthesizers.spreading import CHOSEN, COMPONENTS, FALL, STROKES, Strokes, propagated

SIDE, CLASSES = 16, 3
NAMES = ("lying", "standing", "slanting")


def bars(count, seed=0):
    """Noisy bars at three angles, here and there: uint8 (count, 16, 16), and their classes in turn."""
    random = np.random.default_rng(seed)
    classes = np.arange(count) % CLASSES
    images = random.normal(10, 6, (count, SIDE, SIDE))
    for image, kind in zip(images, classes, strict=True):
        row, column = random.integers(-1, 2, 2) + 4
        for step in range(8):
            down, right = ((0, step), (step, 0), (step, step))[kind]
            image[row + down : row + down + 2, column + right : column + right + 2] += 190
    return np.clip(images, 0, 255).astype(np.uint8), classes


@pytest.fixture(scope="module")
def few():
    return ImageSet(*bars(6, 1), NAMES, "bars", 66)


@pytest.fixture(scope="module")
def many():
    return bars(60)


def network_of(features):
    """A network that sees the given function of the pixels (b, 256), whose features have any length."""
    images = keras.Input((SIDE, SIDE, 1))
    return keras.Model(images, {"features": keras.layers.Lambda(features)(keras.layers.Flatten()(images))})


def blind():
    return network_of(lambda pixels: keras.ops.ones_like(pixels[:, :2]))


def test_strokes_vote_for_the_class_of_the_images_that_look_alike(few, many):
    strokes = Strokes.of(few, many[0])
    assert strokes.votes.shape == (60, CLASSES)
    np.testing.assert_array_equal(strokes.votes.argmax(axis=1), many[1])


def test_strokes_are_of_unit_length_and_as_alike_as_the_histograms_of_their_images(few, many):
    features = Strokes.of(few, many[0]).features
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-4)
    histograms = gradient_histograms(np.concatenate([few.images, many[0]]))
    histograms /= np.linalg.norm(histograms, axis=1, keepdims=True)
    np.testing.assert_allclose(features @ features.T, histograms @ histograms.T, atol=1e-3)  # 66 images in all


def test_strokes_join_each_image_to_those_that_deform_into_it_with_least_loss(few, many):
    images = np.concatenate([few.images, many[0]])
    strokes = Strokes.of(few, many[0])
    similar, nearest = neighbours(strokes.features, 50)
    far = deformed_distances(images, nearest)
    order = np.argsort(far, axis=1)[:, :CHOSEN]
    least = np.take_along_axis(far, order, axis=1)
    expected = graph_of(np.exp(-FALL * least / np.median(least)), np.take_along_axis(nearest, order, axis=1))
    np.testing.assert_allclose(strokes.graph.toarray(), expected.toarray(), rtol=1e-5)
    assert (order != np.arange(CHOSEN)).any()  # not those of the nearest histograms
    both = (expected + graph_of_similar(similar[:, :NEIGHBOURS], nearest[:, :NEIGHBOURS])) / 2
    np.testing.assert_allclose(strokes.votes, spread(both, few.labels, CLASSES), atol=1e-5)


def test_no_more_components_are_kept_than_asked_for(few, many, monkeypatch):
    assert Strokes.of(few, many[0]).features.shape == (66, 66)
    assert COMPONENTS > 66
    monkeypatch.setattr(spreading, "COMPONENTS", 12)
    monkeypatch.setattr(spreading, "_SAMPLE", 40)
    strokes = Strokes.of(few, many[0])
    assert strokes.features.shape == (66, 12)
    np.testing.assert_array_equal(strokes.votes.argmax(axis=1), many[1])


@pytest.mark.parametrize("black", [4, 20])
def test_black_images_are_left_open(few, many, black):
    """Whether there are as many as an image has neighbours, or fewer."""
    images = np.concatenate([many[0], np.zeros((black, SIDE, SIDE), np.uint8)])
    strokes = Strokes.of(few, images)
    np.testing.assert_allclose(strokes.votes[60:], 1 / CLASSES)
    seen = network_of(lambda pixels: (pixels + 1) / 2)  # 0 where an image is black
    beliefs = propagated(seen, few, images, strokes)
    np.testing.assert_allclose(beliefs[60:], 1 / CLASSES)
    np.testing.assert_array_equal(beliefs[:60].argmax(axis=1), many[1])


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_a_few_images_are_enough(few, many, count):
    """Fewer than are compared, or even than are chosen."""
    strokes = Strokes.of(few, many[0][:count])
    assert strokes.graph.shape == (6 + count, 6 + count)
    np.testing.assert_array_equal(strokes.votes.argmax(axis=1), many[1][:count])


def test_copies_say_nothing_of_how_far_others_are(many):
    """Each image four times: most of those chosen are copies, at distance 0."""
    images, classes = np.tile(many[0][:12], (4, 1, 1)), np.tile(many[1][:12], 4)
    strokes = Strokes.of(ImageSet(images[:12], classes[:12], NAMES, "bars", 48), images[12:])
    _, nearest = neighbours(strokes.features, 50)
    far = deformed_distances(images, nearest)
    order = np.argsort(far, axis=1, kind="stable")[:, :CHOSEN]
    least = np.take_along_axis(far, order, axis=1)
    assert np.median(least) == 0
    weights = np.exp(-FALL * least / np.median(least[least > 0]))
    expected = graph_of(weights, np.take_along_axis(nearest, order, axis=1))
    np.testing.assert_allclose(strokes.graph.toarray(), expected.toarray(), rtol=1e-4, atol=1e-7)


def test_nothing_but_black_images_is_left_open(few):
    known = replace(few, images=np.zeros_like(few.images))
    strokes = Strokes.of(known, np.zeros((9, SIDE, SIDE), np.uint8))
    assert strokes.graph.nnz == 0
    np.testing.assert_allclose(strokes.votes, 1 / CLASSES)


def test_strokes_tell_apart_what_the_network_does_not(few, many):
    strokes = Strokes.of(few, many[0])
    uncast = replace(strokes, votes=np.full((60, CLASSES), 1 / CLASSES, np.float32))
    np.testing.assert_array_equal(propagated(blind(), few, many[0], uncast).argmax(axis=1), many[1])


@pytest.fixture
def two(few):
    """The labelled lying and standing bars: no slanting one has a label."""
    return few.take(np.flatnonzero(few.labels < 2))


def votes_for(classes):
    return np.eye(CLASSES, dtype=np.float32)[classes] * np.float32(0.997) + np.float32(0.001)


def test_labels_spread_over_the_networks_neighbours_and_over_the_strokes(two, many, monkeypatch):
    monkeypatch.setattr(spreading, "STROKES", 0.0)  # the first graph is of the network's features alone
    monkeypatch.setattr(propagation, "SHARPENING", 0.5)  # all are far from sure
    flat = np.concatenate([two.images, many[0]]).reshape(64, -1).astype(np.float32) / 127.5 - 1
    strokes, votes = Strokes.of(two, many[0]), votes_for(many[1])
    received = propagated(network_of(lambda pixels: 3 * pixels), two, many[0], strokes, votes)
    seen = graph_of_similar(*neighbours(flat, NEIGHBOURS))
    expected = spread((seen + strokes.graph) / 2, two.labels, CLASSES, votes)
    np.testing.assert_allclose(received, expected, atol=1e-3)
    for wrong in (
        spread(seen, two.labels, CLASSES, votes),
        spread(strokes.graph, two.labels, CLASSES, votes),
        spread((seen + strokes.graph) / 2, two.labels, CLASSES, strokes.votes),
    ):
        assert np.abs(received - wrong).max() > 0.01


@pytest.mark.parametrize("counted_as", [0, 1, 2])
def test_a_way_of_writing_without_a_label_goes_where_votes_put_it(two, many, counted_as):
    strokes, truth = Strokes.of(two, many[0]), np.where(many[1] == 2, counted_as, many[1])
    received = propagated(blind(), two, many[0], strokes, votes_for(truth))
    np.testing.assert_array_equal(received.argmax(axis=1), truth)


@pytest.mark.parametrize("even", [True, False])
def test_whether_classes_are_even_is_told(two, many, monkeypatch, even):
    told, strokes = [], Strokes.of(two, many[0])
    monkeypatch.setattr(spreading, "spread", lambda *given, even: told.append(even) or spread(*given, even=even))
    propagated(blind(), two, many[0], strokes, even=even)
    assert told == [even]


def test_both_views_have_their_say_whatever_the_length_of_the_networks_features(few, many, monkeypatch):
    strokes, received = Strokes.of(few, many[0]), []

    def watch(rows, wanted):
        received.append(rows)
        return neighbours(rows, wanted)

    monkeypatch.setattr(spreading, "neighbours", watch)
    for by in (1.0, 3.0):
        propagated(network_of(lambda pixels, by=by: by * pixels), few, many[0], strokes)
    pixels = np.concatenate([few.images, many[0]]).reshape(66, -1) / 127.5 - 1
    expected = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    for rows in received:
        np.testing.assert_allclose(rows, np.hstack([expected, STROKES * strokes.features]), atol=1e-5)
    assert len(received) == 2
    assert 0 < STROKES < 1


def test_without_earlier_results_the_strokes_vote(two, many):
    strokes = Strokes.of(two, many[0])
    received = propagated(blind(), two, many[0], strokes)
    np.testing.assert_array_equal(received, propagated(blind(), two, many[0], strokes, strokes.votes))
