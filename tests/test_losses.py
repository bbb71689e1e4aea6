import math

import numpy as np
import pytest
import tensorflow as tf

from semisynth.losses import class_loss, realness_loss


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
