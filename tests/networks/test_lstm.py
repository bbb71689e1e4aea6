import numpy as np
import pytest
import tensorflow as tf

from semisynth.errors import SemisynthError
from semisynth.networks import lstm
from semisynth.training.precision import dtype_policy

CODES, CLASSES = 7, 3


@pytest.fixture(scope="module")
def network():
    return lstm.predictor(CODES, CLASSES, embedding=4, units=8)


def test_parameter_count(network):
    # An LSTM: 4 gates × (in + units + 1) × units.
    assert network.count_params() == 10 * 4 + 4 * (4 + 8 + 1) * 8 + 4 * (8 + 8 + 1) * 8 + 9 * 7
    assert lstm.predictor(64, 10).count_params() == 74 * 64 + 1024 * (64 + 257) + 1024 * (256 + 257) + 257 * 64


def test_logits_of_every_position(network):
    logits = network(tf.constant([[7, 0, 6], [9, 1, 2]]))
    assert (logits.shape, logits.dtype) == ((2, 3, CODES), tf.float32)
    assert lstm.predictor(CODES, CLASSES, dtype=dtype_policy("bfloat16"))(tf.zeros((1, 2))).dtype == tf.float32


def test_a_position_sees_nothing_of_what_follows_and_all_before(network):
    tokens = np.array([[7, 0, 6, 3], [7, 0, 1, 4], [8, 0, 6, 3]])
    first, other, class_changed = network(tokens).numpy()
    assert np.allclose(first[:2], other[:2])
    assert not np.allclose(first[2], other[2])
    assert not np.allclose(first, class_changed, atol=1e-5)


def test_steps_give_the_logits_of_the_whole(network):
    tokens, step = np.array([[7, 0, 6, 3], [9, 5, 1, 4]]), lstm.stepper(network)
    state = [tf.zeros((2, 8)) for _ in range(4)]
    for position, expected in enumerate(tf.unstack(network(tokens), axis=1)):
        logits, state = step([tf.constant(tokens[:, position : position + 1]), state])
        assert np.allclose(logits, expected, atol=1e-5)
    assert len(state) == 4


def test_patches_that_do_not_fill_the_image_are_refused():
    assert lstm.patch_count(28, 4) == 49
    with pytest.raises(SemisynthError, match="multiple of its patch, 5, received 28"):
        lstm.patch_count(28, 5)
