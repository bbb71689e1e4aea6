import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from semisynth.networks import autoencoder, vae
from semisynth.training.precision import dtype_policy


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (vae.encoder(28), 785 * 512 + 2 * 513 * 2),
        (vae.decoder(28), 3 * 512 + 513 * 784),
        (vae.encoder(28, latent_size=16), 785 * 512 + 2 * 513 * 16),
        (vae.encoder(28, classes=10), 795 * 512 + 2 * 513 * 2),
        (vae.decoder(28, classes=10, latent_size=16), 27 * 512 + 513 * 784),
        (autoencoder.undercomplete(28), 785 * 128 + 129 * 32 + 33 * 128 + 129 * 784),
        (autoencoder.denoising(28), 785 * 1000 + 1001 * 784),
        (autoencoder.linear(28), 785 * 32 + 33 * 784),
    ],
)
def test_parameter_counts(network, count):
    assert network.count_params() == count


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("classes", [0, 3])
def test_a_variational_autoencoder_there_and_back(classes, precision):
    policy = dtype_policy(precision)
    images, labels = tf.random.uniform((4, 20, 20, 1), -1, 1, seed=1), [tf.constant([0, 1, 2, 0])] * bool(classes)
    encoded = vae.encoder(20, classes, 16, policy)([images, *labels])
    assert encoded.keys() == {"mean", "log_variance"}
    assert {(value.shape, value.dtype) for value in encoded.values()} == {((4, 16), tf.float32)}
    decoder = vae.decoder(20, classes, 16, policy)
    latents = [10 * encoded["mean"], *labels]
    logits, made = decoder(latents), vae.generator(decoder)(latents)
    assert (made.shape, made.dtype) == ((4, 20, 20, 1), tf.float32)
    assert np.allclose(made, 2 * tf.sigmoid(logits) - 1, atol=1e-6)
    if classes:
        assert not np.allclose(decoder([latents[0], labels[0][::-1]]), logits)


def test_latents_have_the_mean_and_the_variance_asked_for():
    noise = tf.random.stateless_normal((20_000, 2), [1, 2])
    drawn = vae.latent_of(tf.constant([3.0, -1.0]), tf.math.log([4.0, 0.25]), noise).numpy()
    assert drawn.mean(axis=0) == pytest.approx([3, -1], abs=0.05)
    assert drawn.var(axis=0) == pytest.approx([4, 0.25], rel=0.05)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_reconstructions_have_the_shape_of_images(precision):
    policy = dtype_policy(precision)
    images = tf.random.uniform((3, 16, 16, 1), -1, 1, seed=1)
    for network, code, bounded in (
        (autoencoder.undercomplete(16, dtype=policy), 32, True),
        (autoencoder.denoising(16, dtype=policy), 1000, True),
        (autoencoder.linear(16, 5, dtype=policy), 5, False),
    ):
        made = network(100 * images)
        assert (made.shape, made.dtype) == (images.shape, tf.float32)
        assert network.get_layer("code").output.shape == (None, code)
        assert bool(tf.reduce_max(tf.abs(made)) <= 1) == bounded


def test_noise_is_for_training_alone():
    network, images = autoencoder.denoising(16), tf.zeros((2, 16, 16, 1))
    assert np.array_equal(network(images), network(images))
    assert not np.allclose(network(images, training=True), network(images))


def test_a_linear_autoencoder_spans_the_plane_of_the_principal_components():
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    axes = np.linalg.qr(random.normal(size=(256, 5)))[0]
    rows = 0.1 + random.normal(size=(400, 5)) * [4, 3, 2, 0.3, 0.2] @ axes.T
    images = rows.reshape(-1, 16, 16, 1).astype(np.float32)
    network = autoencoder.linear(16, code=3)
    network.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 400)), "mse")
    network.fit(tf.data.Dataset.from_tensors((images, images)).repeat(400), shuffle=False, verbose=0)
    learnt = network.layers[-2].kernel.numpy()  # (3, 256): what the code can say
    principal = PCA(3).fit(rows)
    assert np.rad2deg(subspace_angles(learnt.T, principal.components_.T)).max() < 2
    loss = float(np.square(network(images) - images).mean())
    least = float(np.square(principal.inverse_transform(principal.transform(rows)) - rows).mean())
    assert loss == pytest.approx(least, rel=0.02)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: autoencoder.undercomplete(16, 256), "smaller than the image's 256 pixels, received 256"),
        (lambda: autoencoder.linear(16, 0), "smaller than the image's 256 pixels, received 0"),
        (lambda: autoencoder.denoising(28, 784), "larger than the image's 784 pixels, received 784"),
        (lambda: autoencoder.denoising(16, noise=0), "noise above 0, received 0"),
    ],
)
def test_codes_and_noise_that_make_no_such_autoencoder_are_refused(build, expected):
    with pytest.raises(ValueError, match=expected):
        build()
