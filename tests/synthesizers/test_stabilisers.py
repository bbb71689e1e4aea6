import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.synthesizers.stabilisers import ReplayBuffer, decayed, noisy, soft_targets
from semisynth.training.checkpoint import Checkpoint

KEY = tf.constant([3, 4])


def test_soft_targets_fill_their_range_and_follow_their_key():
    targets = soft_targets(5000, 0.7, 0.9, KEY).numpy()
    assert 0.7 <= targets.min() < 0.701
    assert 0.899 < targets.max() <= 0.9
    assert targets.mean() == pytest.approx(0.8, abs=0.005)
    assert np.array_equal(targets, soft_targets(5000, 0.7, 0.9, KEY))
    assert not np.array_equal(targets, soft_targets(5000, 0.7, 0.9, KEY + 1))


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.1), (0.9, 1.1), (0.9, 0.7)])
def test_targets_that_are_no_probabilities_are_refused(low, high):
    with pytest.raises(ValueError, match="0 <= low <= high <= 1, received"):
        soft_targets(3, low, high, KEY)


def test_noise_decays_in_a_straight_line_to_nothing():
    received = [float(decayed(0.4, step, 100)) for step in (0, 25, 100, 300)]
    assert received == pytest.approx([0.4, 0.3, 0, 0])


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_noise_has_the_deviation_asked_for(dtype):
    images = tf.fill((20, 16, 16, 1), tf.constant(0.5, dtype))
    noise = tf.cast(noisy(images, 0.3, KEY) - images, tf.float32).numpy()
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(0.3, rel=0.05)
    assert np.array_equal(noisy(images, decayed(0.3, 9, 9), KEY), images)


def numbered(first, count):
    return tf.reshape(tf.range(first, first + count, dtype=tf.float32), (count, 1))


def test_a_buffer_fills_before_it_gives():
    buffer = ReplayBuffer(6, (1,))
    for step in range(3):
        fresh = numbered(10 * step, 4)
        assert np.array_equal(buffer.exchange(fresh, KEY + step), fresh)
    assert buffer.stored.numpy().ravel().tolist() == [0, 1, 10, 11, 20, 21]
    given = buffer.exchange(numbered(30, 4), KEY).numpy().ravel()
    assert set(given[:2]) < {0, 1, 10, 11, 20, 21}
    assert given[2:].tolist() == [32, 33]
    assert set(buffer.stored.numpy().ravel()) == {0, 1, 10, 11, 20, 21, 30, 31} - set(given[:2])


def test_it_reaches_back_and_never_gives_an_image_twice():
    buffer = ReplayBuffer(50, (1,))
    exchange = tf.function(buffer.exchange)
    given = np.concatenate([exchange(numbered(10 * step, 10), KEY + step)[:5] for step in range(10, 200)])[:, 0]
    earlier = given[50:]
    assert len(np.unique(earlier)) == len(earlier)
    ages = np.repeat(np.arange(20, 200), 5) - earlier // 10
    assert ages.min() >= 1
    assert ages.mean() == pytest.approx(10, abs=2)  # 50 places, 5 of them renewed each step


def test_buffers_with_equal_keys_exchange_equal_rows():
    images, labels = ReplayBuffer(8, (1,)), ReplayBuffer(8, (), dtype="int32")
    for step in range(20):
        fresh = numbered(10 * step, 6)
        shown = images.exchange(fresh, KEY + step)
        asked = labels.exchange(tf.cast(fresh[:, 0], tf.int32), KEY + step)
        assert np.array_equal(shown[:, 0], asked)


class Replaying(keras.Model):
    def __init__(self):
        super().__init__()
        self.buffer = ReplayBuffer(4, (1,))
        self.optimizers = [keras.optimizers.SGD()]
        self.built = True


def test_a_checkpoint_keeps_the_buffer(tmp_path):
    first, second = Replaying(), Replaying()
    for step in range(5):
        first.buffer.exchange(numbered(10 * step, 2), KEY + step)
    Checkpoint(tmp_path).save(first, [{"loss": 1.0}])
    Checkpoint(tmp_path).restore(second)
    fresh = numbered(100, 2)
    assert np.array_equal(first.buffer.exchange(fresh, KEY), second.buffer.exchange(fresh, KEY))
    assert not first.buffer.trainable_variables


def test_no_gradient_flows_into_the_buffer_and_fresh_images_keep_theirs():
    buffer, fresh = ReplayBuffer(2, (1,)), tf.Variable(numbered(0, 4))
    buffer.exchange(numbered(5, 4), KEY)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(buffer.exchange(fresh, KEY))
    assert tape.gradient(total, fresh).numpy().ravel().tolist() == [0, 0, 1, 1]
