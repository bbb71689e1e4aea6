import numpy as np
import pytest

from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.synthesizers.composition import recipe_by_name, recipe_from
from semisynth.synthesizers.families import load_sampler, train_any
from semisynth.synthesizers.training import train_synthesizer

SIDE = 16
BUDGET = {"steps": 2, "epochs": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def labelled():
    images = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE), np.uint8)
    return ImageSet(images, np.arange(12) % 3, ("a", "b", "c"), "noise", 12)


def pooled_of_two(name, labelled, **options):
    recipe = recipe_from({"base": name, "ensemble": 2})
    return train_any(recipe, labelled.images, labelled, None, of_lstm={}, of_vae={}, seed=5, **BUDGET, **options)


@pytest.mark.parametrize("name", ["vanilla_gan", "dense_cgan"])
def test_samples_are_those_of_members_trained_alone(name, labelled, tmp_path):
    ensemble, history = pooled_of_two(name, labelled)
    alone = [
        train_synthesizer(recipe_by_name(name), labelled.images, labelled, seed=seed, **BUDGET) for seed in (5, 6)
    ]
    assert history == alone[0][1] + alone[1][1]
    labels = np.arange(40) % 3
    latents = ensemble.recipe.sampled_latents(40, np.random.default_rng(0))
    assert latents.shape == (40, alone[0][0].recipe.latent_size + 1)
    images = ensemble.decode(latents, labels)
    second = latents[:, -1] > 0
    assert 5 < second.sum() < 35
    for (member, _), rows in zip(alone, (~second, second), strict=True):
        np.testing.assert_allclose(images[rows], member.decode(latents[rows, :-1], labels[rows]), atol=1)
    ensemble.save(tmp_path / "ensemble")
    loaded = load_sampler(tmp_path / "ensemble")
    np.testing.assert_array_equal(loaded.sample(labels, seed=3), ensemble.sample(labels, seed=3))
    np.testing.assert_array_equal(loaded.realness(images), alone[0][0].realness(images))


def test_members_of_the_last_seed_there_is_go_on_from_the_first(labelled):
    recipe = recipe_from({"base": "vanilla_gan", "ensemble": 2})
    last = 2**31 - 1
    _, history = train_any(recipe, labelled.images, labelled, None, of_lstm={}, of_vae={}, seed=last, **BUDGET)
    _, second = train_synthesizer(recipe_by_name("vanilla_gan"), labelled.images, labelled, seed=0, **BUDGET)
    assert history[2:] == second


class KilledError(Exception):
    pass


def test_an_interrupted_ensemble_trains_no_member_twice(labelled, tmp_path):
    straight, _ = pooled_of_two("vanilla_gan", labelled)
    called = []

    def kill(number, _):
        called.append(number)
        if called == [1, 2, 3]:
            raise KilledError

    options = {"resume": tmp_path, "on_epoch": kill}
    with pytest.raises(KilledError):
        pooled_of_two("vanilla_gan", labelled, **options)
    resumed, _ = pooled_of_two("vanilla_gan", labelled, **options)
    assert called == [1, 2, 3, 3, 4]
    for one, other in zip(straight.generator.get_weights(), resumed.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("members", [0, 17])
def test_an_ensemble_of_none_or_too_many_is_refused(members):
    with pytest.raises(SemisynthError, match=f"`ensemble` of 1 to 16 expected, received {members}"):
        recipe_from({"base": "dcgan", "ensemble": members})
