import math

import numpy as np
import pytest
import tensorflow as tf

from semisynth.losses import (
    between,
    class_loss,
    contrastive_loss,
    feature_matching_loss,
    gradient_penalty,
    latent_divergence,
    realness_loss,
    reconstruction_loss,
    wasserstein_loss,
)


@pytest.mark.parametrize(
    ("logit", "target", "expected"),
    [
        (0.0, 1.0, math.log(2)),
        (0.0, 0.95, math.log(2)),
        (2.0, 1.0, math.log(1 + math.exp(-2))),
        (2.0, 0.0, 2 + math.log(1 + math.exp(-2))),
        (2.0, 0.95, 0.95 * math.log(1 + math.exp(-2)) + 0.05 * (2 + math.log(1 + math.exp(-2)))),
        (-1000.0, 1.0, 1000.0),
    ],
)
def test_realness_loss_by_hand(logit, target, expected):
    assert realness_loss(tf.constant([logit]), target).numpy() == pytest.approx([expected], rel=1e-6)


def test_realness_loss_is_least_where_the_probability_is_the_target():
    logits = tf.constant(np.linspace(-6, 6, 1201), tf.float32)
    best = float(tf.gather(logits, tf.argmin(realness_loss(logits, 0.95))))
    assert 1 / (1 + math.exp(-best)) == pytest.approx(0.95, abs=0.001)


def test_class_loss_by_hand():
    logits = tf.math.log(tf.constant([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    received = class_loss(logits, tf.constant([0, 1], tf.int64)).numpy()
    assert received == pytest.approx([-math.log(0.7), -math.log(0.25)], rel=1e-5)


def test_losses_take_bfloat16_and_return_float32():
    logits = tf.zeros((2, 3), tf.bfloat16)
    assert class_loss(logits, tf.constant([0, 1], tf.int64)).dtype == tf.float32
    assert realness_loss(logits[:, 0], 1).dtype == tf.float32


def test_every_example_may_have_its_own_target():
    targets = tf.constant([1.0, 0.0, 0.9])
    received = realness_loss(tf.constant([0.5, 0.5, -2.0]), targets).numpy()
    expected = [realness_loss(tf.constant([logit]), t).numpy()[0] for logit, t in ((0.5, 1), (0.5, 0), (-2, 0.9))]
    assert received == pytest.approx(expected)


def test_wasserstein_losses_by_hand():
    scores = tf.constant([2.0, -3.0])
    assert wasserstein_loss(scores, real=True).numpy().tolist() == [-2, 3]
    assert wasserstein_loss(scores, real=False).numpy().tolist() == [2, -3]


def test_images_between():
    real, synthetic = tf.ones((3, 2, 2, 1)), -tf.ones((3, 2, 2, 1))
    mixed = between(real, synthetic, tf.constant([0.0, 0.25, 1.0])).numpy()
    assert mixed[:, 0, 0, 0].tolist() == [-1, -0.5, 1]
    assert mixed.std(axis=(1, 2, 3)).tolist() == [0, 0, 0]


def test_gradient_penalty_by_hand():
    gradients = np.zeros((3, 2, 2, 1), np.float32)
    gradients[1, 0, 0, 0], gradients[1, 1, 1, 0] = 3, 4  # of length 5
    gradients[2, 0, 1, 0] = -1
    assert gradient_penalty(tf.constant(gradients)).numpy() == pytest.approx([1, 16, 0], abs=1e-5)


def test_the_penalty_has_a_slope_where_the_critic_has_none():
    gradients = tf.Variable(tf.zeros((1, 2, 2, 1)))
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(gradients)
    assert np.isfinite(tape.gradient(penalty, gradients)).all()


def test_feature_matching_by_hand():
    real, synthetic = tf.constant([[1.0, 2.0], [3.0, 2.0]]), tf.constant([[0.0, 2.0], [0.0, 2.0], [3.0, 2.0]])
    assert feature_matching_loss(real, synthetic).numpy().tolist() == [1, 0]


def test_reconstruction_sums_over_pixels():
    logits, images = np.zeros((2, 2, 2, 1)), np.array([0.0, 1.0]).repeat(4).reshape(2, 2, 2, 1)
    logits[1, 0, 0, 0] = 2
    received = reconstruction_loss(tf.constant(logits, tf.float32), tf.constant(images, tf.float32)).numpy()
    assert received == pytest.approx([4 * math.log(2), 3 * math.log(2) + math.log(1 + math.exp(-2))])


def test_divergence_of_latents_by_hand():
    mean, log_variance = (
        tf.constant([[0.0, 0.0], [1.0, -2.0], [0.0, 0.0]]),
        tf.constant([[0.0, 0], [0, 0], [1, -1]]),
    )
    expected = [0, (1 + 4) / 2, (math.e - 1 - 1 + 1 / math.e + 1 - 1) / 2]
    assert latent_divergence(mean, log_variance).numpy() == pytest.approx(expected)


def test_contrastive_loss_of_one_image_is_0_whatever_its_views():
    """Its only other view is its partner."""
    received = contrastive_loss(tf.constant([[1.0, 0.0]]), tf.constant([[-1.0, 3.0]]), 0.5).numpy()
    assert received == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize("temperature", [0.2, 0.5, 1.0])
def test_contrastive_loss_by_hand(temperature):
    """Equal partners at right angles to all others, of any length: against two cosines of 0."""
    first, second = tf.constant([[3.0, 0.0], [0.0, 0.5]]), tf.constant([[0.1, 0.0], [0.0, 7.0]])
    received = contrastive_loss(first, second, temperature)
    assert received.shape == (4,)
    assert received.numpy() == pytest.approx([math.log(1 + 2 * math.exp(-1 / temperature))] * 4, rel=1e-5)
    swapped = contrastive_loss(first, second[::-1], temperature)  # each one's like is a stranger
    assert swapped.numpy() == pytest.approx([math.log(2 + math.exp(1 / temperature))] * 4, rel=1e-5)


def test_contrastive_loss_of_views_that_tell_nothing_is_the_log_of_the_choices():
    apart = tf.eye(6)
    assert contrastive_loss(apart[:3], apart[3:], 0.5).numpy() == pytest.approx([math.log(5)] * 6)
    alike = tf.ones((3, 4), tf.bfloat16)
    received = contrastive_loss(alike, alike, 0.1)
    assert received.dtype == tf.float32
    assert received.numpy() == pytest.approx([math.log(5)] * 6, rel=1e-5)


def test_contrastive_loss_falls_as_partners_become_alike():
    random = np.random.default_rng(0)
    first, strangers = (tf.constant(random.normal(size=(8, 16)), tf.float32) for _ in range(2))
    means = [
        contrastive_loss(first, share * first + (1 - share) * strangers, 0.5).numpy().mean()
        for share in (0, 0.3, 0.6, 1)
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1] + 0.5


def test_contrastive_loss_is_given_for_each_view_in_order():
    """The second image's views part; the others' partners stay alike."""
    first, second = tf.eye(4)[:3], tf.constant([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0]])
    received = contrastive_loss(first, second, 0.5).numpy()
    assert (received[[1, 4]] > received[[0, 2, 3, 5]].max() + 1).all()
