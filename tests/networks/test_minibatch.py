import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.networks.minibatch import MinibatchDiscrimination
from semisynth.training.precision import dtype_policy


def test_closeness_by_hand():
    layer = MinibatchDiscrimination(kernels=2, size=1)
    layer.build((None, 2))
    layer.projection.assign(np.eye(2))
    features = np.array([[0.0, 5.0], [1.0, 5.0], [3.0, 5.0]], np.float32)
    received = layer(features, training=True).numpy()
    assert np.array_equal(received[:, :2], features)
    first = [math.exp(-1) + math.exp(-3), math.exp(-1) + math.exp(-2), math.exp(-3) + math.exp(-2)]
    assert received[:, 2] == pytest.approx(first)
    assert received[:, 3] == pytest.approx([2, 2, 2])


def test_little_closeness_does_not_vanish_in_few_bits():
    layer = MinibatchDiscrimination(kernels=1, size=1, dtype=dtype_policy("bfloat16"))
    layer.build((None, 1))
    layer.projection.assign([[1.0]])
    received = layer(tf.constant([[0.0], [7.0]], tf.bfloat16), training=True)
    assert received.dtype == tf.bfloat16
    assert tf.cast(received[:, 1], tf.float32).numpy() == pytest.approx([math.exp(-7)] * 2, rel=0.01)
    assert layer.usual.numpy() == pytest.approx([0.01 * math.exp(-7)], rel=0.01)


def test_a_collapsed_batch_stands_out():
    keras.utils.set_random_seed(0)
    layer, random = MinibatchDiscrimination(), np.random.default_rng(0)
    features = random.normal(size=(16, 20)).astype(np.float32)
    diverse, alike = (layer(part, training=True).numpy()[:, 20:] for part in (features, features[[0] * 16]))
    assert diverse.shape == (16, 50)
    assert alike == pytest.approx(15)
    assert diverse.mean() < 5


@pytest.mark.parametrize(("precision", "rounding"), [("float32", 1e-6), ("bfloat16", 2**-9)])
def test_outside_training_no_image_moves_another_and_the_mean_closeness_stands_in(precision, rounding):
    """The mean is kept in float32, while what a call gives is rounded to the precision."""
    keras.utils.set_random_seed(0)
    layer = MinibatchDiscrimination(kernels=3, momentum=0.5, dtype=dtype_policy(precision))
    features = tf.random.stateless_normal((6, 4), [1, 2])
    mean = tf.reduce_mean(tf.cast(layer(features, training=True)[:, 4:], tf.float32), axis=0)
    assert layer.usual.numpy() == pytest.approx(0.5 * mean.numpy(), rel=rounding)
    alone, together = layer(features[:1]), layer(features)
    assert np.array_equal(alone[0], together[0])
    assert np.allclose(tf.cast(together[:, 4:], tf.float32), np.tile(layer.usual.numpy(), (6, 1)), rtol=0.01)


def test_it_trains_inside_a_network():
    images = keras.Input((8,))
    network = keras.Model(images, keras.layers.Dense(1)(MinibatchDiscrimination(4)(images)))
    network.compile("sgd", "mse")
    layer = network.layers[1]
    before = layer.projection.numpy().copy()
    features = np.random.default_rng(0).normal(size=(10, 8)).astype(np.float32)
    network.train_on_batch(features, np.ones((10, 1)))
    assert not np.array_equal(before, layer.projection.numpy())
    assert layer.usual.numpy().max() > 0
    assert all(weight is not layer.usual for weight in network.trainable_variables)
