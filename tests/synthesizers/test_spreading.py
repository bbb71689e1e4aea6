from dataclasses import replace

import keras
import numpy as np
import pytest

from semisynth.data.gradients import gradient_histograms
from semisynth.data.imageset import ImageSet
from semisynth.synthesizers import spreading
from semisynth.synthesizers.propagation import propagate
from semisynth.synthesizers.spreading import COMPONENTS, STROKES, Strokes, propagated

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


def test_without_strokes_the_network_decides(few, many, monkeypatch):
    monkeypatch.setattr(spreading, "STROKES", 0.0)
    flat = np.concatenate([few.images, many[0]]).reshape(66, -1).astype(np.float32) / 127.5 - 1
    strokes = Strokes.of(few, many[0])
    received = propagated(network_of(lambda pixels: 3 * pixels), few, many[0], strokes)
    expected = propagate(flat[6:], flat[:6], few.labels, CLASSES, strokes.votes)
    np.testing.assert_allclose(received, expected, atol=1e-3)


def test_both_views_have_their_say_whatever_the_length_of_the_networks_features(few, many, monkeypatch):
    strokes, received = Strokes.of(few, many[0]), []
    monkeypatch.setattr(spreading, "propagate", lambda *arguments: received.append(arguments))
    for by in (1.0, 3.0):
        propagated(network_of(lambda pixels, by=by: by * pixels), few, many[0], strokes)
    pixels = many[0].reshape(60, -1) / 127.5 - 1
    expected = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    for features, known, _, _, votes in received:
        np.testing.assert_allclose(features, np.hstack([expected, STROKES * strokes.unlabelled]), atol=1e-5)
        np.testing.assert_allclose(known[:, 256:], STROKES * strokes.labelled, atol=1e-6)
        assert votes is strokes.votes
    assert 0 < STROKES < 1
