import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.networks.ensemble import pooled


def planted(grey):
    """A generator whose images are `grey` times the first of two latents."""
    latent = keras.Input((2,))
    made = keras.layers.Dense(4, use_bias=False, kernel_initializer="zeros")
    model = keras.Model([latent], keras.layers.Reshape((2, 2, 1))(made(latent)))
    made.kernel.assign([[grey] * 4, [0] * 4])
    return model


@pytest.mark.parametrize(
    ("latent", "choices"),
    [
        ("uniform", [-1, -0.34, -0.33, 0.33, 0.34, 1]),
        ("normal", [-9, -0.44, -0.42, 0.42, 0.44, 9]),  # thirds of the normal distribution end at ±0.431
    ],
)
def test_the_last_component_chooses_the_member_by_equal_shares(latent, choices):
    network = pooled([planted(grey) for grey in (1, 2, 3)], latent)
    latents = np.array([[5, 7, choice] for choice in choices], np.float32)
    images = network([tf.constant(latents)]).numpy()
    assert images.shape == (6, 2, 2, 1)
    assert images[:, 0, 0, 0].tolist() == [5, 5, 10, 10, 15, 15]


def test_the_chosen_member_alone_has_a_gradient():
    members = [planted(grey) for grey in (1, 2)]
    network = pooled(members, "uniform")
    latents = tf.Variable([[5.0, 7.0, 0.5]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network([latents.value()]))
    of_latent, first, second = tape.gradient(total, [latents, *(one.trainable_variables[0] for one in members)])
    assert of_latent.numpy().tolist() == [[8, 0, 0]]
    assert not first.numpy().any()
    assert second.numpy()[0].tolist() == [5] * 4
