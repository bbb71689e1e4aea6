from dataclasses import replace

import keras
import numpy as np
import pytest

from semisynth.data.gradients import gradient_histograms
from semisynth.data.imageset import ImageSet
from semisynth.synthesizers import propagation, spreading
from semisynth.synthesizers.propagation import propagate, spread
from semisynth.synthesizers.spreading import COMPONENTS, STROKES, Strokes, agreed, propagated

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
    strokes = Strokes.of(few, many[0])
    for features, images in ((strokes.labelled, few.images), (strokes.unlabelled, many[0])):
        assert features.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-4)
        histograms = gradient_histograms(images)
        histograms /= np.linalg.norm(histograms, axis=1, keepdims=True)
        np.testing.assert_allclose(features @ features.T, histograms @ histograms.T, atol=1e-3)  # 66 images in all


def test_no_more_components_are_kept_than_asked_for(few, many, monkeypatch):
    assert Strokes.of(few, many[0]).labelled.shape == (6, 66)
    assert COMPONENTS > 66
    monkeypatch.setattr(spreading, "COMPONENTS", 12)
    monkeypatch.setattr(spreading, "_SAMPLE", 40)
    strokes = Strokes.of(few, many[0])
    assert strokes.unlabelled.shape == (60, 12)
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


def test_both_results_are_multiplied_of_which_the_first_votes_for_the_second(two, many, monkeypatch):
    monkeypatch.setattr(spreading, "STROKES", 0.0)  # the first looks at the network's features alone
    monkeypatch.setattr(propagation, "SHARPENING", 0.5)  # all are far from sure
    flat = np.concatenate([two.images, many[0]]).reshape(64, -1).astype(np.float32) / 127.5 - 1
    strokes, votes = Strokes.of(two, many[0]), votes_for(many[1])
    received = propagated(network_of(lambda pixels: 3 * pixels), two, many[0], strokes, votes)
    first = propagate(flat[4:], flat[:4], two.labels, CLASSES, votes)
    second = spread(strokes.graph, two.labels, CLASSES, first)
    np.testing.assert_allclose(received, agreed(first, second), atol=1e-3)
    for wrong in (first, second, agreed(first, spread(strokes.graph, two.labels, CLASSES))):
        assert np.abs(received - wrong).max() > 0.01


@pytest.mark.parametrize("counted_as", [0, 1, 2])
def test_a_way_of_writing_without_a_label_goes_where_votes_put_it(two, many, counted_as):
    strokes, truth = Strokes.of(two, many[0]), np.where(many[1] == 2, counted_as, many[1])
    received = propagated(blind(), two, many[0], strokes, votes_for(truth))
    np.testing.assert_array_equal(received.argmax(axis=1), truth)


@pytest.mark.parametrize("even", [True, False])
def test_whether_classes_are_even_reaches_both_spreadings(two, many, monkeypatch, even):
    told = []

    def watch(work):
        return lambda *given, even: told.append((work.__name__, even)) or work(*given, even=even)

    strokes = Strokes.of(two, many[0])
    for work in (propagate, spread):
        monkeypatch.setattr(spreading, work.__name__, watch(work))
    propagated(blind(), two, many[0], strokes, even=even)
    assert told == [("propagate", even), ("spread", even)]


def test_agreement_by_hand():
    first = np.array([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [1e-12, 1]], np.float32)
    second = np.array([[0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [1, 1e-12]], np.float32)
    received = agreed(first, second)
    assert received.dtype == np.float32
    np.testing.assert_allclose(
        received, [[0.54 / 0.58, 0.04 / 0.58], [0.5, 0.5], [0.3, 0.7], [0.5, 0.5]], rtol=1e-5
    )


def test_both_views_have_their_say_whatever_the_length_of_the_networks_features(few, many, monkeypatch):
    strokes, received = Strokes.of(few, many[0]), []

    def watch(*given, even):
        received.append(given)
        return propagate(*given, even=even)

    monkeypatch.setattr(spreading, "propagate", watch)
    for by in (1.0, 3.0):
        propagated(network_of(lambda pixels, by=by: by * pixels), few, many[0], strokes)
    pixels = many[0].reshape(60, -1) / 127.5 - 1
    expected = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    for features, known, _, _, votes in received:
        np.testing.assert_allclose(features, np.hstack([expected, STROKES * strokes.unlabelled]), atol=1e-5)
        np.testing.assert_allclose(known[:, 256:], STROKES * strokes.labelled, atol=1e-6)
        assert votes is strokes.votes
    assert 0 < STROKES < 1
