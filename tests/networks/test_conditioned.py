"""Classes around networks that know none."""

import keras
import numpy as np
import pytest

from semisynth.networks.conditioned import with_classes, with_heads

SIDE, CLASSES = 4, 3


@pytest.fixture
def plain_discriminator():
    """Realness is the sum of an image, features are its first two pixels."""
    images = keras.Input((SIDE, SIDE, 1))
    flat = keras.layers.Flatten()(images)
    outputs = {"realness": keras.ops.sum(flat, axis=1), "features": flat[:, :2]}
    return keras.Model(images, outputs, name="plain")


def images_of(count):
    return np.random.default_rng(0).normal(size=(count, SIDE, SIDE, 1)).astype(np.float32)


def judged_by_hand(model, images):
    """Realness logits (n,), logits of the head `class` (n, k), and the features (n, 2)."""
    flat = images.reshape(len(images), -1)
    kernel, bias = model.get_layer("class").get_weights()
    return flat.sum(axis=1), flat[:, :2] @ kernel + bias, flat[:, :2]


def close(received, expected):
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_an_auxiliary_head_tells_classes_and_leaves_realness(plain_discriminator):
    model, images = with_heads(plain_discriminator, CLASSES, "auxiliary"), images_of(5)
    realness, logits, features = judged_by_hand(model, images)
    received = model(images)
    assert set(received) == {"realness", "features", "classes"}
    for name, expected in {"realness": realness, "classes": logits, "features": features}.items():
        close(received[name], expected)


def test_a_projection_adds_what_is_the_classes_own(plain_discriminator):
    model, images = with_heads(plain_discriminator, CLASSES, "projection"), images_of(5)
    realness, logits, features = judged_by_hand(model, images)
    (kernel,) = model.get_layer("realness_of_class").get_weights()
    by_class = realness[:, None] + features @ kernel
    received = model(images)
    close(received["by_class"], by_class)
    close(received["classes"], logits)
    close(received["realness"], np.log(np.exp(by_class).mean(axis=1)))


def test_one_more_class_is_real_as_far_as_any_class_is_seen(plain_discriminator):
    model, images = with_heads(plain_discriminator, CLASSES, "one_more_class"), images_of(5)
    realness, logits, _ = judged_by_hand(model, images)
    received = model(images)
    close(received["classes"], logits + realness[:, None])
    close(received["realness"], np.log(np.exp(logits + realness[:, None]).sum(axis=1)))


def test_a_class_scales_the_latent():
    latent = keras.Input((2,))
    plain = keras.Model([latent], keras.layers.Reshape((1, 2, 1))(3 * latent), name="plain")
    model = with_classes(plain, CLASSES)
    (embedded,) = model.get_layer("class").get_weights()
    latents, classes = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), np.array([2, 0], np.int32)
    close(np.reshape(model([latents, classes]), (2, 2)), 3 * latents * embedded[classes])
    assert [one.name for one in model.inputs] == ["latent", "label"]
