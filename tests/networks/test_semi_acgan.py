import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.errors import SemisynthError
from semisynth.networks import semi_acgan
from semisynth.networks.labeller import FEATURES, PROJECTION, labeller
from semisynth.networks.semi_acgan import CRITIC, LABELLER, LATENT_SIZE, critic, discriminator, generator
from semisynth.training.precision import dtype_policy

PRECISIONS = pytest.mark.parametrize("precision", ["float32", "bfloat16"])


def noise(count=5, side=16):
    return np.random.default_rng(0).uniform(-1, 1, (count, side, side, 1)).astype(np.float32)


def described(outputs):
    return {name: (tuple(value.shape), value.dtype) for name, value in outputs.items()}


@PRECISIONS
def test_what_a_labeller_tells(precision):
    outputs = labeller(16, 3, dtype_policy(precision))(noise())
    assert described(outputs) == {
        "classes": ((5, 3), tf.float32),
        "features": ((5, FEATURES), tf.float32),
        "projection": ((5, PROJECTION), tf.float32),
    }


def test_both_heads_read_the_features():
    network = labeller(16, 3)
    heads = [layer for layer in network.layers if layer.name == "features"]
    assert len(heads) == 1
    outputs = network(noise())
    kernel, bias = (weight for weight in network.get_weights() if weight.shape[-1] == 3)
    np.testing.assert_allclose(outputs["classes"], outputs["features"] @ kernel + bias, atol=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(noise(), training=True)["projection"]))
    slopes = tape.gradient(loss, network.trainable_variables)
    assert sum(slope is None for slope in slopes) == 2  # the class head's own kernel and bias
    assert slopes[0] is not None


@PRECISIONS
@pytest.mark.parametrize("side", [16, 20, 28])
def test_a_generator_makes_images_in_range(side, precision):
    network = generator(side, 3, dtype_policy(precision))
    latents = 30 * tf.random.normal((4, LATENT_SIZE), seed=1)
    images = network([latents, tf.constant([0, 1, 2, 2])]).numpy()
    assert images.shape == (4, side, side, 1)
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1
    assert images.std() > 0


def test_a_generator_listens_to_latent_and_label():
    network = generator(16, 3)
    latents = tf.repeat(tf.random.normal((2, LATENT_SIZE), seed=1), 3, axis=0)
    images = network([latents, tf.constant([0, 1, 2] * 2)]).numpy().reshape(6, -1)
    apart = np.abs(images[:, np.newaxis] - images).max(axis=2)
    assert apart[~np.eye(6, dtype=bool)].min() > 1e-5


@pytest.mark.parametrize("side", [12, 17, 18, 22])
def test_a_side_that_it_cannot_make_is_refused(side):
    with pytest.raises(SemisynthError, match=f"`semi_acgan` .* multiple of 4 from 16 on, received {side}"):
        generator(side, 3)


def test_sub_pixels_are_spread_over_blocks_of_two_by_two():
    inputs = keras.Input((3, 3, 8))
    spread = keras.Model(inputs, semi_acgan._spread_out(inputs, 3, 2, None))
    values = np.random.default_rng(0).normal(size=(2, 3, 3, 8)).astype(np.float32)
    np.testing.assert_array_equal(spread(values), tf.nn.depth_to_space(values, 2))


def test_a_critics_logits_are_a_shared_one_and_the_classs_own():
    network = critic(16, 4)
    by_class = network(noise())["by_class"].numpy()
    assert by_class.shape == (5, 4)
    (shared,) = (weight for weight in network.weights if tuple(weight.shape) == (256, 1))
    shared.assign(tf.zeros_like(shared))
    own = network(noise())["by_class"].numpy()
    np.testing.assert_allclose((by_class - own).std(axis=1), 0, atol=1e-5)
    assert (by_class - own).std() > 1e-4
    assert own.std(axis=1).min() > 1e-4


@PRECISIONS
def test_what_a_discriminator_says(precision):
    outputs = discriminator(16, 3, dtype_policy(precision))(noise())
    assert described(outputs) == {
        "realness": ((5,), tf.float32),
        "classes": ((5, 3), tf.float32),
        "features": ((5, FEATURES), tf.float32),
    }


def test_its_parts_are_found_by_name_and_are_what_it_says():
    network, images = discriminator(16, 3), noise()
    said = network(images)
    told, seen = network.get_layer(LABELLER)(images), network.get_layer(CRITIC)(images)
    np.testing.assert_allclose(said["classes"], told["classes"], atol=1e-6)
    np.testing.assert_allclose(said["features"], told["features"], atol=1e-6)
    expected = np.log(np.exp(seen["by_class"].numpy().astype(float)).mean(axis=1))
    np.testing.assert_allclose(said["realness"], expected, atol=1e-5)
    parts = network.get_layer(LABELLER).count_params() + network.get_layer(CRITIC).count_params()
    assert network.count_params() == parts


def test_the_parts_share_no_weights():
    network, images = discriminator(16, 3), noise()
    before = {name: value.numpy() for name, value in network(images).items()}
    part = network.get_layer(CRITIC)
    part.set_weights([weight + 0.1 for weight in part.get_weights()])
    after = network(images)
    np.testing.assert_array_equal(before["classes"], after["classes"])
    np.testing.assert_array_equal(before["features"], after["features"])
    assert np.abs(before["realness"] - after["realness"]).min() > 0.01


@pytest.mark.parametrize(("name", "build"), [("generator", generator), ("critic", critic), ("labeller", labeller)])
def test_networks_of_either_precision_have_the_same_weights(name, build):
    """What is trained in bfloat16 is stored, and used, in float32."""
    exact, coarse = build(16, 3), build(16, 3, dtype_policy("bfloat16"))
    assert [w.shape for w in exact.weights] == [w.shape for w in coarse.weights]
    assert {w.dtype for w in coarse.trainable_variables} == {"float32"}
