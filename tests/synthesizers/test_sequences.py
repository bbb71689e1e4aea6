import functools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from semisynth.data.digits import bundled_digits
from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.synthesizers.patches import Codebook, unigram_entropy
from semisynth.synthesizers.sequence_sampler import Size, build_sequences, load_sequences
from semisynth.synthesizers.sequences import train_lstm

SMALL = Size(embedding=8, units=16, depth=1)
SHORT = {"steps": 12, "epochs": 2, "batch_size": 8, "seed": 1, "codes": 16, "size": SMALL}
SHADES = Codebook(np.repeat(np.array([[0], [80], [160], [240]], np.float32), 16, axis=1))
BIAS = np.array([2.0, 1.0, 0.0, -1.0], np.float32)


class KilledError(Exception):
    pass


def chains(count, seed):
    """Images of 16 tokens, four for each of two classes: one is a coin's toss, and the next follows from it.

    Half a bit a token, and three bits by the frequencies of the eight tokens.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    coins = random.integers(0, 2, (count, 8))
    tokens = np.stack([coins, 2 + coins], axis=2).reshape(count, 16) + 4 * labels[:, None]
    return ImageSet(
        np.kron((30 * tokens).reshape(count, 4, 4), np.ones((4, 4))).astype(np.uint8),
        labels,
        ("dark", "bright"),
        "chains",
        pool=count,
    )


@pytest.fixture(scope="module")
def train():
    """Trains on 200 digits; equal arguments train once."""
    some = bundled_digits().take(np.arange(200))
    return functools.cache(lambda **options: train_lstm(some.images, some, **SHORT | options))


@pytest.fixture(scope="module")
def learnt():
    data = chains(400, 0)
    options = {"steps": 300, "epochs": 3, "batch_size": 32, "rate": 0.02, "codes": 8, "ema_momentum": 0.9}
    return train_lstm(data.images, data, **SHORT | options)


@pytest.fixture(scope="module")
def biased():
    """A predictor whose logits are BIAS, whatever came before."""
    sampler = build_sequences(SHADES, 16, 2, SMALL, temperature=1.0)
    sampler.predictor.set_weights([np.zeros_like(array) for array in sampler.predictor.get_weights()])
    sampler.predictor.get_layer("logits").bias.assign(BIAS)
    return sampler


def tokens_of(sampler, labels, **options):
    """The tokens that images were made of."""
    return sampler.codebook.tokens(sampler.sample(labels, **options))


def shares(tokens):
    return np.bincount(tokens.ravel(), minlength=4) / tokens.size


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tokens_are_drawn_with_the_softmax_of_the_logits_over_the_temperature(biased, temperature):
    tokens = tokens_of(biased, np.zeros(600, np.int64), seed=0, temperature=temperature)
    expected = np.exp(BIAS / temperature) / np.exp(BIAS / temperature).sum()
    assert shares(tokens) == pytest.approx(expected, abs=0.015)


def test_entropy_rises_with_temperature_from_0(biased):
    labels = np.zeros(100, np.int64)
    entropies = [
        unigram_entropy(tokens_of(biased, labels, seed=0, temperature=heat)) for heat in (0, 0.3, 1, 3, 100)
    ]
    assert entropies[0] == 0
    assert entropies == sorted(set(entropies))
    assert entropies[-1] == pytest.approx(2, abs=0.01)


def test_bits_per_token_by_hand(biased):
    logs = BIAS - np.log(np.exp(BIAS).sum())
    images = SHADES.images(np.tile([0, 1, 2, 3], (3, 4)))
    received = biased.bits_per_token(images, np.array([0, 1, 0]))
    assert received == pytest.approx(-logs.mean() / math.log(2), rel=1e-5)


def test_what_can_be_foretold_is_learnt_and_what_cannot_is_not(learnt):
    sampler, history = learnt
    unseen = chains(100, 1)
    assert unigram_entropy(sampler.codebook.tokens(unseen.images)) == pytest.approx(3, abs=0.01)
    assert sampler.bits_per_token(unseen.images, unseen.labels) == pytest.approx(0.5, abs=0.02)
    assert sampler.bits_per_token(unseen.images, 1 - unseen.labels) > 0.8
    assert history[-1]["bits_per_token"] == pytest.approx(history[-1]["loss"] / math.log(2))


def test_samples_follow_the_class_that_is_asked_for(learnt):
    sampler, _ = learnt
    labels = np.arange(40) % 2
    images = sampler.sample(labels, seed=0)
    tokens = images[:, ::4, ::4].reshape(40, 16) // 30
    assert (images.shape, images.dtype) == ((40, 16, 16), np.uint8)
    assert (tokens // 4 == labels[:, None]).mean() > 0.98
    before, after = tokens[:, :-1].astype(int), tokens[:, 1:]
    coin = before % 4 < 2
    assert (after[coin] == before[coin] + 2).mean() > 0.98
    assert (after[~coin] % 4 < 2).mean() > 0.98
    assert (tokens % 2).mean() == pytest.approx(0.5, abs=0.1)


def test_at_temperature_0_the_seed_decides_nothing_and_else_it_does(learnt):
    sampler, _ = learnt
    labels = np.zeros(4, np.int64)
    cold = [sampler.sample(labels, seed=seed, temperature=0) for seed in (1, 2)]
    np.testing.assert_array_equal(*cold)
    np.testing.assert_array_equal(replace_temperature(sampler, 0.0).sample(labels, seed=3), cold[0])
    assert not np.array_equal(*(sampler.sample(labels, seed=seed) for seed in (1, 2)))
    np.testing.assert_array_equal(*(sampler.sample(labels, seed=1) for _ in range(2)))


def replace_temperature(sampler, temperature):
    return replace(sampler, temperature=temperature)


@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf])
def test_a_temperature_below_0_is_refused(biased, temperature):
    with pytest.raises(SemisynthError, match=f"temperature of 0 or more, received {temperature}"):
        biased.sample(np.zeros(1, np.int64), seed=0, temperature=temperature)
    with pytest.raises(SemisynthError, match="temperature of 0 or more"):
        replace_temperature(biased, temperature)


def test_an_image_depends_on_its_own_latent_and_class_alone(learnt):
    sampler, _ = learnt
    latents = np.random.default_rng(0).standard_normal((7, sampler.recipe.latent_size), np.float32)
    labels = np.arange(7) % 2
    images = sampler.decode(latents, labels)
    np.testing.assert_array_equal(sampler.decode(latents[::-1], labels[::-1], batch_size=3)[::-1], images)
    assert not np.array_equal(sampler.decode(latents, 1 - labels), images)


def test_it_trains_on_digits_saves_loads_and_samples_the_same(train, tmp_path):
    sampler, history = train(temperature=0.7)
    assert len(history) == 2
    assert history[1]["loss"] < history[0]["loss"] <= math.log(16) + 0.1
    labels = np.arange(10)
    images = sampler.sample(labels, seed=3)
    assert images.shape == (10, 28, 28)
    sampler.save(tmp_path / "s")
    loaded = load_sequences(tmp_path / "s")
    assert (loaded.recipe.name, loaded.side, loaded.classes, loaded.size) == ("lstm", 28, 10, SMALL)
    assert loaded.temperature == 0.7
    np.testing.assert_array_equal(loaded.sample(labels, seed=3), images)
    assert sampler.sample(labels[:0], seed=0).shape == (0, 28, 28)


def test_centres_of_another_shape_are_refused(biased, tmp_path):
    replace(biased, codebook=Codebook(np.zeros((4, 5), np.float32))).save(tmp_path / "s")
    with pytest.raises(
        SemisynthError, match=r"centres\.npz: expected `centres` \(codes, patch²\), received \(4, 5\)"
    ):
        load_sequences(tmp_path / "s")


def test_the_bundle_holds_plain_settings(biased, tmp_path):
    biased.save(tmp_path / "s")
    manifest = json.loads((tmp_path / "s" / "bundle.json").read_text())
    assert manifest["settings"] == {
        "recipe": "lstm", "side": 16, "classes": 2, "embedding": 8, "units": 16, "depth": 1,
        "temperature": 1.0,
    }  # fmt: skip


def test_an_interrupted_training_ends_bit_identical(train, tmp_path):
    straight, history = train()
    some = bundled_digits().take(np.arange(200))

    def kill(number, _):
        if number == 2 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KilledError

    options = SHORT | {"resume": tmp_path, "on_epoch": kill}
    with pytest.raises(KilledError):
        train_lstm(some.images, some, **options)
    resumed, resumed_history = train_lstm(some.images, some, **options)
    assert resumed_history == history
    for ours, theirs in zip(straight.predictor.get_weights(), resumed.predictor.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_patches_that_do_not_fill_the_images_are_refused_before_training():
    some = chains(4, 0)
    with pytest.raises(SemisynthError, match="multiple of its patch, 5, received 16"):
        train_lstm(some.images, some, **SHORT | {"patch": 5})


def test_bfloat16_trains_too(train):
    sampler, history = train(precision="bfloat16")
    assert sampler.predictor.get_layer("lstm_0").compute_dtype == "float32"
    assert history[-1]["loss"] == pytest.approx(train()[1][-1]["loss"], rel=0.05)
    assert tf.as_dtype(sampler.predictor.output.dtype) == tf.float32


def test_images_without_labels_are_refused():
    some = bundled_digits().take(np.arange(20)).with_labels_removed()
    with pytest.raises(SemisynthError, match="`lstm` learns classes: expected labels, received images without"):
        train_lstm(some.images, some, **SHORT)
