import functools
import math
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.data.digits import bundled_digits
from semisynth.errors import SemisynthError
from semisynth.synthesizers.variational import (
    VariationalModel,
    build_variational,
    load_variational,
    train_vae,
)
from semisynth.training.determinism import seed_everything

SHORT = {"steps": 4, "epochs": 2, "batch_size": 8, "seed": 1}


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def digits():
    return bundled_digits()


@pytest.fixture(scope="module")
def train(digits):
    """Trains on 400 digits; equal arguments train once."""
    some = digits.take(np.arange(400))
    return functools.cache(lambda recipe, **options: train_vae(recipe, some.images, some, **SHORT | options))


@pytest.fixture(scope="module")
def learnt(train):
    return train("cvae", steps=300, epochs=3, batch_size=64, latent_size=16)


def weights(sampler):
    return [*sampler.encoder.get_weights(), *sampler.decoder.get_weights()]


def assert_same(first, second):
    for ours, theirs in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def silence(network):
    """Set all weights to 0."""
    network.set_weights([np.zeros_like(array) for array in network.get_weights()])


def test_the_bound_of_networks_that_know_nothing():
    """A decoder of logits 0 needs log 2 a pixel; a latent of N(0, 1) costs nothing, of N(2, e²) half of e² + 1."""
    sampler = build_variational("vae", 16, 3, latent_size=2)
    silence(sampler.encoder)
    silence(sampler.decoder)
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16), np.uint8)
    nothing = np.zeros(5, np.int64)
    assert sampler.evidence_bound(images, nothing) == pytest.approx([-256 * math.log(2)] * 5, rel=1e-5)
    for layer in sampler.encoder.layers:
        if getattr(layer, "units", 0) == 2:
            layer.bias.assign([2.0, 2.0])
    assert sampler.evidence_bound(images, nothing) == pytest.approx(
        [-256 * math.log(2) - 1 - math.e**2] * 5, rel=1e-5
    )


@pytest.mark.parametrize(("recipe", "latent_size"), [("vae", 2), ("cvae", 16)])
def test_it_trains_saves_loads_and_samples_the_same(recipe, latent_size, train, tmp_path):
    sampler, history = train(recipe, latent_size=latent_size)
    assert len(history) == 2
    for epoch in history:
        assert epoch["loss"] == pytest.approx(epoch["reconstruction_loss"] + epoch["divergence_loss"], rel=1e-5)
    labels = np.array([0, 1, 2, 2])
    images = sampler.sample(labels, seed=3)
    assert (images.shape, images.dtype) == ((4, 28, 28), np.uint8)
    sampler.save(tmp_path / "s")
    loaded = load_variational(tmp_path / "s")
    assert (loaded.recipe.name, loaded.side, loaded.classes, loaded.recipe.latent_size) == (
        recipe,
        28,
        10,
        latent_size,
    )
    np.testing.assert_array_equal(loaded.sample(labels, seed=3), images)
    assert not np.array_equal(loaded.sample(labels, seed=4), images)
    assert np.array_equal(loaded.sample(labels[::-1], seed=3), images) == (recipe == "vae")


def test_samples_do_not_depend_on_the_batch_they_are_drawn_in(train):
    sampler, _ = train("vae")
    many = sampler.sample(np.zeros(503, np.int64), seed=0)
    np.testing.assert_array_equal(many[:3], sampler.sample(np.zeros(3, np.int64), seed=0))
    assert sampler.sample(np.zeros(0, np.int64), seed=0).shape == (0, 28, 28)


def test_the_evidence_bound_rises_on_digits_that_were_not_seen(train, learnt, digits):
    unseen = digits.take(np.arange(400, 800))
    sampler, history = learnt
    losses = [epoch["loss"] for epoch in history]
    assert losses == sorted(losses, reverse=True)
    early, _ = train("cvae", latent_size=16)
    before, after = (one.evidence_bound(unseen.images, unseen.labels).mean() for one in (early, sampler))
    assert after > before + 100
    assert after == pytest.approx(-losses[-1], rel=0.2)


def test_the_class_that_is_asked_for_is_drawn(learnt, digits):
    """What is special to the samples of a class is most like what is special to the digits of that class."""
    sampler, _ = learnt
    labels = np.repeat(np.arange(10), 50)
    drawn = sampler.sample(labels, seed=0).astype(float)
    means, real = (
        np.stack([images[known == label].mean(axis=0) for label in range(10)]).reshape(10, -1)
        for images, known in ((drawn, labels), (digits.images, digits.labels))
    )
    likeness = np.corrcoef(means - means.mean(axis=0), real - real.mean(axis=0))[:10, 10:]
    assert likeness.argmax(axis=1).tolist() == list(range(10))


def test_the_wrong_class_costs_evidence(learnt, digits):
    sampler, _ = learnt
    some = digits.take(np.arange(400, 500))
    right = sampler.evidence_bound(some.images, some.labels)
    wrong = sampler.evidence_bound(some.images, (some.labels + 1) % 10)
    assert (right > wrong).mean() > 0.8


def test_only_cvae_reads_labels(train, digits):
    some = digits.take(np.arange(400))
    turned = replace(some, labels=(some.labels + 1) % 10)
    assert_same(train_vae("vae", some.images, turned, **SHORT)[0], train("vae")[0])
    assert train_vae("cvae", some.images, turned, **SHORT)[1] != train("cvae")[1]


def test_an_interrupted_training_ends_bit_identical(train, digits, tmp_path):
    straight, history = train("vae", steps=12)  # from 11 on weights are averaged
    some = digits.take(np.arange(400))

    def kill(number, _):
        if number == 2 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KilledError

    options = SHORT | {"steps": 12, "resume": tmp_path, "on_epoch": kill}
    with pytest.raises(KilledError):
        train_vae("vae", some.images, some, **options)
    resumed, resumed_history = train_vae("vae", some.images, some, **options)
    assert resumed_history == history
    assert_same(resumed, straight)


def test_weights_are_averaged_over_the_last_tenth(train):
    """With a momentum of 1 - 10 / 12, twelve steps leave the averages near the last weights, and not at them."""
    averaged, _ = train("vae", steps=12)
    plain, _ = train("vae", steps=12, ema_momentum=0.0)
    early, _ = train("vae", steps=1, epochs=1, ema_momentum=0.0)
    for which in ("encoder", "decoder"):
        mean, last, first = (getattr(one, which).get_weights()[0] for one in (averaged, plain, early))
        assert 0 < np.abs(mean - last).mean() < np.abs(first - last).mean() / 2


def test_bfloat16_trains_too_and_gives_float32(train):
    sampler, history = train("vae", precision="bfloat16")
    assert sampler.decoder.compute_dtype == "float32"
    assert history[-1]["loss"] == pytest.approx(train("vae")[1][-1]["loss"], rel=0.05)


def test_one_optimizer_counts_the_steps_and_updates_both_networks():
    seed_everything(0)
    fresh = build_variational("vae", 16, 3)
    before = weights(fresh)
    model = VariationalModel(fresh.encoder, fresh.decoder, seed=0)
    model.compile_with(keras.optimizers.Adam(0.01))
    for _ in range(2):
        model.train_step({"images": tf.random.uniform((2, 16, 16, 1), -1, 1, seed=1)})
    assert int(model.optimizers[0].iterations) == 2
    assert all(not np.array_equal(old, new) for old, new in zip(before, weights(fresh), strict=True))


def test_steps_that_are_no_multiple_of_the_epochs_are_refused(digits):
    with pytest.raises(ValueError, match="multiple of epochs, received 5 and 2"):
        train_vae("vae", digits.images, digits, **SHORT | {"steps": 5})


def test_classes_need_labels(digits):
    some = digits.take(np.arange(20)).with_labels_removed()
    with pytest.raises(SemisynthError, match="`cvae` learns classes: expected labels, received images without"):
        train_vae("cvae", some.images, some, **SHORT)
    train_vae("vae", some.images, some, **SHORT)
