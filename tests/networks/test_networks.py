import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.errors import SemisynthError
from semisynth.networks import acgan, dcgan
from semisynth.networks.classifiers import book_cnn, normalised_cnn, strided_cnn, wide_cnn
from semisynth.networks.dropping import ByteDropout
from semisynth.networks.normalisation import FusedBatchNormalization
from semisynth.networks.pixel_features import pixel_features
from semisynth.training.precision import dtype_policy

# Worked out by hand: (kernel height × width × in + bias) × out, summed over the layers.
COUNTS = [
    (book_cnn(28, 10), 887_530),
    (
        normalised_cnn(28, 10),
        400 + 4_608 + 9_216 + 18_432 + 36_864 + 4 * (16 + 32 + 32 + 64 + 64) + 577 * 256 + 2_570,
    ),
    (
        wide_cnn(28, 10),
        800 + 18_432 + 36_864 + 73_728 + 147_456 + 4 * (32 + 64 + 64 + 128 + 128) + 1_153 * 256 + 2_570,
    ),
    (strided_cnn(28, 10), 832 + 18_496 + 73_856 + 802_944 + 1_290),
    (acgan.generator(28, 10), 1_000 + 349_056 + 1_843_392 + 768 + 460_896 + 384 + 2_401),
    (acgan.discriminator(28, 10), 320 + 18_496 + 73_856 + 295_168 + 12_545 + 125_450),
    (
        dcgan.generator(28),
        (100 + 1) * 12_544 + 4 * 12_544 + 819_328 + 512 + 204_864 + 256 + 51_232 + 128 + 801,
    ),
    (dcgan.discriminator(28), 1_664 + 204_928 + 819_456 + 3_277_312 + 4 * 4 * 512 + 1),
]


@pytest.mark.parametrize(("network", "count"), COUNTS, ids=lambda value: getattr(value, "name", None))
def test_parameter_counts(network, count):
    assert network.count_params() == count


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("side", [20, 28, 32])
def test_generators_make_images_in_range(side, precision):
    policy = dtype_policy(precision)
    latents, labels = tf.random.normal((2, 100), seed=1), tf.constant([0, 1])
    for image in (
        acgan.generator(side, 3, policy)([latents, labels]),
        dcgan.generator(side, policy)([latents]),
    ):
        assert image.shape == (2, side, side, 1)
        assert image.dtype == tf.float32
        assert float(tf.reduce_max(tf.abs(image))) <= 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_discriminators_and_classifiers_return_float32_logits(precision):
    policy = dtype_policy(precision)
    images = np.zeros((3, 16, 16, 1), np.float32)
    judged = acgan.discriminator(16, 4, policy)(images)
    assert judged["realness"].shape == (3,)
    assert judged["classes"].shape == (3, 4)
    assert judged["features"].shape == (3, 256)
    plain = dcgan.discriminator(16, policy)(images)
    assert plain["realness"].shape == (3,)
    assert plain["features"].shape == (3, 512)
    assert {value.dtype for value in (*judged.values(), *plain.values())} == {tf.float32}
    for network in (book_cnn(16, 4, policy), normalised_cnn(16, 4, policy), strided_cnn(16, 4, policy)):
        logits = network(images)
        assert logits.shape == (3, 4)
        assert logits.dtype == tf.float32


def test_pixel_features_are_means_of_neighbours_and_have_no_weights():
    network = pixel_features(4)
    images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1) / 16
    features = network(images)["features"]
    assert features.dtype == tf.float32
    assert features.numpy() == pytest.approx(np.array([[2.5, 4.5, 10.5, 12.5]]) / 16)
    assert network.weights == []


def test_a_side_that_a_network_cannot_make_is_refused():
    with pytest.raises(SemisynthError, match="multiple of 4 from 20 on, received 16"):
        acgan.generator(16, 10)


def test_fused_normalisation_is_that_of_keras():
    images = tf.random.stateless_normal((6, 5, 5, 3), seed=(0, 1), mean=2.0, stddev=3.0)
    ours, theirs = FusedBatchNormalization(momentum=0.8), keras.layers.BatchNormalization(momentum=0.8)
    for layer in (ours, theirs):
        layer.build(images.shape)
        layer.gamma.assign([0.5, 1.0, 2.0])
        layer.beta.assign([1.0, 0.0, -1.0])
    results, slopes = [], []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(images)
            result = layer(images, training=True)
            loss = tf.reduce_sum(result**3)
        results.append(result.numpy())
        slopes.append([part.numpy() for part in tape.gradient(loss, [images, *layer.trainable_variables])])
    assert results[0] == pytest.approx(results[1], abs=1e-5)
    for ours_, theirs_ in zip(*slopes, strict=True):
        assert ours_ == pytest.approx(theirs_, rel=1e-3, abs=1e-3)
    assert ours.moving_mean.numpy() == pytest.approx(theirs.moving_mean.numpy(), rel=1e-5)
    batch = (theirs.moving_variance.numpy() - 0.8) * 150 / 149  # without bias
    assert ours.moving_variance.numpy() == pytest.approx(0.8 + batch, rel=1e-5)
    theirs.moving_variance.assign(ours.moving_variance)
    assert ours(images).numpy() == pytest.approx(theirs(images).numpy(), abs=1e-5)


def test_fused_normalisation_of_bfloat16_differs_by_its_rounding_alone():
    images = tf.cast(tf.random.stateless_normal((6, 5, 5, 3), seed=(0, 1), mean=2.0, stddev=3.0), tf.bfloat16)
    exact, rounded = FusedBatchNormalization(momentum=0.8), FusedBatchNormalization(momentum=0.8)
    of_float, of_bfloat = exact(tf.cast(images, tf.float32), training=True), rounded(images, training=True)
    assert of_bfloat.dtype == tf.bfloat16
    assert of_float.dtype == tf.float32
    np.testing.assert_array_equal(of_bfloat, tf.cast(of_float, tf.bfloat16))
    assert rounded(keras.KerasTensor((None, 5, 5, 3), "bfloat16")).dtype == "bfloat16"
    assert rounded.moving_variance.dtype == "float32"
    assert rounded.moving_variance.numpy() == pytest.approx(exact.moving_variance.numpy(), rel=1e-6)


def test_fused_normalisation_keeps_its_averages_where_it_is_not_to_be_trained():
    images = tf.random.stateless_normal((6, 5, 5, 3), seed=(0, 1), mean=2.0)
    layer = FusedBatchNormalization(momentum=0.8)
    layer(images, training=True)
    moved = [weight.numpy() for weight in (layer.moving_mean, layer.moving_variance)]
    layer.trainable = False
    np.testing.assert_array_equal(layer(images, training=True), layer(images, training=False))
    for before, after in zip(moved, (layer.moving_mean, layer.moving_variance), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(64, 1001), (16, 7, 7, 33)])
def test_dropout_by_bytes_drops_its_rate_and_keeps_expectations(dtype, shape):
    keras.utils.set_random_seed(0)
    layer, ones = ByteDropout(0.3, dtype=dtype), tf.ones(shape, dtype)
    with tf.GradientTape() as tape:
        tape.watch(ones)
        result = layer(ones, training=True)
    slope = tape.gradient(result, ones)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, slope)
    values = tf.cast(result, tf.float32).numpy()
    kept = values > 0
    assert np.unique(values[kept]) == pytest.approx(256 / 179, rel=4e-3)
    spread = np.sqrt(77 / 256 * 179 / 256 / kept.size)  # of the share that is dropped
    assert 1 - kept.mean() == pytest.approx(77 / 256, abs=4 * spread)
    # Four units share a random number, yet are dropped independently, as are those of two steps.
    flat = kept.ravel() - kept.mean()
    again = np.asarray(layer(ones, training=True), np.float32).ravel() > 0
    for lag in (1, 2, 3, 4, shape[-1]):
        assert abs(np.corrcoef(flat[lag:], flat[:-lag])[0, 1]) < 5 / np.sqrt(flat.size)
    assert abs(np.corrcoef(flat, again)[0, 1]) < 5 / np.sqrt(flat.size)


def test_dropout_by_bytes_follows_its_seed_and_leaves_inference_alone():
    images = tf.random.stateless_normal((6, 5, 5, 3), seed=(0, 1))
    draws = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = ByteDropout(0.5)
        draws.append([layer(images, training=True).numpy() for _ in range(2)])
        np.testing.assert_array_equal(layer(images), images)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0][0] != draws[0][1]).any()
    assert (draws[0][0] != draws[2][0]).any()
    for drawn in draws[0]:
        np.testing.assert_array_equal(drawn, np.where(drawn, 2 * images, 0))


@pytest.mark.parametrize("rate", [0, 0.001, 0.999, 1])
def test_dropout_by_bytes_refuses_a_rate_that_rounds_to_none_or_all(rate):
    with pytest.raises(ValueError, match=f"between 0 and 1, received {rate}"):
        ByteDropout(rate)


def test_fused_normalisation_does_the_same_in_inference_where_there_is_a_gpu(monkeypatch):
    images, layer = tf.random.stateless_normal((6, 5, 5, 3), seed=(0, 1)), FusedBatchNormalization(momentum=0.8)
    layer(images, training=True)
    fused = layer(images)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    operations = tf.function(layer).get_concrete_function(images).graph.get_operations()
    assert not any("FusedBatchNorm" in operation.type for operation in operations)
    assert layer(images).numpy() == pytest.approx(fused.numpy(), abs=1e-5)
