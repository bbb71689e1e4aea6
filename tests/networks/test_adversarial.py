"""The networks of the adversarial recipes that `test_networks.py` leaves."""

import numpy as np
import pytest
import tensorflow as tf

from semisynth.errors import SemisynthError
from semisynth.losses import gradient_penalty
from semisynth.networks import dcgan, dcgan_small, dense_gan, tanh_conv_gan, vanilla_gan
from semisynth.training.precision import dtype_policy

UNCONDITIONAL = [vanilla_gan, dense_gan, tanh_conv_gan, dcgan_small]


def sizes(network):
    return network.count_params(), sum(int(np.prod(weight.shape)) for weight in network.trainable_variables)


@pytest.mark.parametrize(
    ("network", "count", "trainable"),
    [
        (vanilla_gan.generator(28), 81_184, 81_184),
        (vanilla_gan.discriminator(28), 78_601, 78_601),
        (dcgan_small.generator(28), 817_824, 804_832),
        (dcgan_small.discriminator(28), 1_040_385, 1_039_489),
        # One scale and shift a channel, and no moving averages; without normalisation not these either.
        (dcgan_small.discriminator(28, normalisation="layer"), 1_039_489, 1_039_489),
        (dcgan_small.discriminator(28, normalisation="none"), 1_039_489 - 2 * 448, 1_039_489 - 2 * 448),
        # Dense layers: (in + 1) × out, summed.
        (dense_gan.generator(28), 25_856 + 131_584 + 525_312 + 803_600, None),
        (dense_gan.discriminator(28), 803_840 + 524_800 + 131_328 + 257, None),
        (dense_gan.conditional_generator(28, 10), 1_486_352 + 10 * 256, None),
        (dense_gan.conditional_discriminator(28, 10), 1_460_225 + (256 + 10 + 1) * 256, None),
        (tanh_conv_gan.generator(28), 103_424 + 6_428_800 + 25_088 + 204_864 + 1_601, 6_763_777 - 12_544),
        (tanh_conv_gan.discriminator(28), 1_664 + 204_928 + 3_277_824 + 1_025, None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_parameter_counts(network, count, trainable):
    assert sizes(network) == (count, trainable or count)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("side", [16, 28])
@pytest.mark.parametrize("module", UNCONDITIONAL)
def test_images_in_range_and_logits(module, side, precision):
    policy = dtype_policy(precision)
    latents = 3 * tf.random.normal((4, module.LATENT_SIZE), seed=1)
    images = module.generator(side, policy)([latents])
    assert (images.shape, images.dtype) == ((4, side, side, 1), tf.float32)
    assert 0 < float(tf.reduce_max(tf.abs(images))) <= 1
    discriminator = module.discriminator(side, policy)
    judged = discriminator(images)
    assert judged.keys() == {"realness", "features"}
    assert (judged["realness"].shape, judged["realness"].dtype) == ((4,), tf.float32)
    assert (judged["features"].shape.rank, judged["features"].dtype) == (2, tf.float32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_classes_change_what_conditional_networks_make_and_say(precision):
    policy = dtype_policy(precision)
    generator = dense_gan.conditional_generator(20, 3, policy)
    latents, labels = tf.random.normal((2, 100), seed=1), tf.constant([0, 2])
    images = generator([latents, labels])
    assert (images.shape, images.dtype) == ((2, 20, 20, 1), tf.float32)
    assert not np.allclose(images, generator([latents, labels[::-1]]), atol=1e-3)
    discriminator = dense_gan.conditional_discriminator(20, 3, policy)
    judged = discriminator(images)
    shapes = {name: (tuple(output.shape), output.dtype) for name, output in judged.items()}
    assert shapes == {
        "by_class": ((2, 3), tf.float32),
        "realness": ((2,), tf.float32),
        "features": ((2, 256), tf.float32),
    }
    assert np.unique(judged["by_class"]).size == 6
    open_class = np.log(np.exp(judged["by_class"]).mean(axis=1))
    assert judged["realness"].numpy() == pytest.approx(open_class, rel=0.01, abs=1e-3)


def test_a_class_is_judged_as_if_it_were_concatenated_to_the_features():
    discriminator = dense_gan.conditional_discriminator(20, 3)
    judged = discriminator(tf.random.normal((2, 20, 20, 1), seed=1))
    hidden, bias, last, shift = discriminator.get_weights()[-4:]
    for label in range(3):
        joint = np.concatenate([judged["features"], np.eye(3)[[label, label]]], axis=1) @ hidden + bias
        expected = (np.where(joint > 0, joint, 0.2 * joint) @ last + shift)[:, 0]
        assert judged["by_class"][:, label].numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_realness_of_a_classifier_is_that_of_one_more_class_with_logit_0(precision):
    judged = dcgan_small.classifier(16, 3, dtype_policy(precision))(tf.random.normal((4, 16, 16, 1), seed=1))
    synthetic = tf.nn.softmax(np.pad(judged["classes"], [(0, 0), (0, 1)])).numpy()[:, -1]
    assert judged["classes"].shape == (4, 3)
    assert tf.sigmoid(judged["realness"]).numpy() == pytest.approx(1 - synthetic, rel=1e-5)
    assert judged["features"].shape == (4, 256)


@pytest.mark.parametrize("module", UNCONDITIONAL)
def test_minibatch_discrimination_is_one_more_projection_before_the_logit(module):
    plain, comparing = module.discriminator(16), module.discriminator(16, minibatch_discrimination=True)
    width = plain.get_weights()[-2].shape[0]
    assert comparing.get_weights()[-2].shape == (width + 50, 1)
    assert comparing.count_params() - plain.count_params() == width * 50 * 5 + 50 + 50
    assert mixing(comparing) > 0


def mixing(network, side=16, read=lambda judged: judged["realness"][0]):
    """How much what is read of the first image depends on the pixels of the second, in training."""
    images = tf.Variable(tf.random.normal((2, side, side, 1), seed=2))
    with tf.GradientTape() as tape:
        value = read(network(images, training=True))
    return float(tf.reduce_max(tf.abs(tape.gradient(value, images)[1])))


def test_classes_heed_no_other_image_of_the_batch_while_their_realness_does():
    network = dcgan_small.classifier(16, 3, minibatch_discrimination=True)
    assert mixing(network) > 0
    assert mixing(network, read=lambda judged: tf.nn.softmax(judged["classes"])[0, 0]) == pytest.approx(
        0, abs=1e-6
    )
    assert mixing(network, read=lambda judged: judged["classes"][0, 0]) > 1e-4


def test_no_image_moves_the_logit_of_another_in_a_critic():
    assert mixing(dcgan_small.discriminator(16, normalisation="layer")) == 0
    assert mixing(dcgan_small.discriminator(16, normalisation="none")) == 0
    assert mixing(dcgan_small.discriminator(16)) > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("normalisation", ["layer", "none"])
def test_the_gradient_penalty_reaches_the_weights_of_a_critic(normalisation, precision):
    critic = dcgan_small.discriminator(16, dtype_policy(precision), normalisation)
    images = tf.random.stateless_normal((3, 16, 16, 1), [1, 2])
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(images)
            scores = critic(images, training=True)["realness"]
        penalty = gradient_penalty(inner.gradient(scores, images))
    gradients = outer.gradient(penalty, [layer.kernel for layer in critic.layers if hasattr(layer, "kernel")])
    assert penalty.shape == (3,)
    assert all(np.isfinite(gradient).all() and np.abs(gradient).max() > 0 for gradient in gradients)


@pytest.mark.parametrize("module", [tanh_conv_gan, dcgan_small, dcgan])
def test_a_side_that_is_no_multiple_of_4_is_refused(module):
    with pytest.raises(SemisynthError, match=r"recipe `\w+` .* multiple of 4, received 30"):
        module.generator(30)


def test_a_side_that_is_too_small_is_refused():
    with pytest.raises(SemisynthError, match="multiple of 4 from 12 on, received 8"):
        tanh_conv_gan.discriminator(8)
