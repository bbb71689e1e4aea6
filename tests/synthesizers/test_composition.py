from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.params import AdversarialName, RecipeParts
from semisynth.recipes import NAMED
from semisynth.scoring.fitting import fit_detector_model
from semisynth.scoring.model import load_detector
from semisynth.synthesizers.composition import PARTS, RECIPES, composed, recipe_by_name, recipe_from
from semisynth.synthesizers.ensembles import train_ensemble
from semisynth.synthesizers.model import build_synthesizer, load_synthesizer
from semisynth.synthesizers.objectives import CrossEntropy, Wasserstein
from semisynth.synthesizers.stabilisers import Stabilisers
from semisynth.synthesizers.training import train_synthesizer
from semisynth.training.determinism import seed_everything

SIDE = 16


def test_params_take_every_part():
    assert {*PARTS, "base"} == set(RecipeParts.model_fields)


def test_a_name_alone_is_the_named_recipe():
    assert all(recipe_from(name) is RECIPES[name] for name in RECIPES)


def same_parts(one, other):
    return replace(one, name="", source="") == replace(other, name="", source="")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("wgan", {"loss": "wasserstein", "clip": 0.01, "optimizer": "rmsprop", "rate": 0.00005}),
        ("wgan_gp", {"loss": "wasserstein", "gradient_penalty": 10.0, "normalisation": "layer"}),
    ],
)
def test_a_named_recipe_can_be_written_out(name, parts):
    if rate := parts.pop("rate", None):
        parts |= {"generator_rate": rate, "discriminator_rate": rate}
    assert same_parts(recipe_from({"base": "dcgan_small", **parts}), recipe_by_name(name))


def test_every_part_takes_effect():
    recipe = recipe_from(
        {
            "base": "acgan",
            "gradient_penalty": 1.0,
            "real_targets": [0.8, 0.9],
            "fake_targets": [0.0, 0.1],
            "instance_noise": 0.2,
            "feature_matching": True,
            "replay": 100,
            "generator_rate": 0.1,
            "class_weight": 0.5,
        }
    )
    assert recipe.loss == CrossEntropy(gradient_penalty=1.0)
    assert recipe.stabilisers == Stabilisers((0.8, 0.9), (0.0, 0.1), 0.2, True, 100)
    assert (recipe.generator_rate, recipe.discriminator_rate, recipe.class_weight) == (0.1, 0.0002, 0.5)
    assert recipe.conditional
    comparing = recipe_from({"base": "dense_gan", "minibatch_discrimination": True})
    assert comparing.pair.compares_images
    assert comparing.name == "dense_gan with minibatch_discrimination True"


def test_a_slope_is_kept_where_only_the_rest_changes():
    assert recipe_from({"base": "wgan", "replay": 64}).loss == Wasserstein(clip=0.01)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"base": "dcgan_smal"}, "names no recipe: `dcgan_smal`; did you mean `dcgan_small`"),
        ({"base": "dcgan", "los": "wasserstein"}, "names no part: `los`; did you mean `loss`"),
        ({"base": "dcgan", "loss": "waserstein"}, "names no loss: `waserstein`; did you mean `wasserstein`"),
        (
            {"base": "dcgan", "loss": ["wasserstein"]},
            r"recipe\.loss`: expected a name, received \['wasserstein'\]",
        ),
        (
            {"base": "dcgan", "conditioning": "auxilary"},
            "names no conditioning: `auxilary`; did you mean `auxiliary`",
        ),
        (
            {"base": "acgan", "conditioning": "projection"},
            r"conditioning`: this base's networks are made for classes \(auxiliary\); expected none given",
        ),
        (
            {"base": "wgan_gp", "conditioning": "projection"},
            "realness is judged by class, and a gradient penalty would mix",
        ),
        ({"base": "dcgan", "optimizer": {}}, r"recipe\.optimizer`: expected a name, received {}"),
        ({"base": "dcgan", "replay": "4"}, r"recipe\.replay`: expected a whole number, received '4'"),
        ({"base": "dcgan", "ensemble": 1.5}, r"recipe\.ensemble`: expected a whole number, received 1.5"),
        ({"base": "dcgan", "clip": "1"}, r"recipe\.clip`: expected a number, received '1'"),
        (
            {"base": "dcgan", "feature_matching": 1},
            r"recipe\.feature_matching`: expected true or false, received 1",
        ),
        (
            {"base": "dcgan", "real_targets": [0, 1, 1]},
            r"recipe\.real_targets`: expected two numbers, received \[0",
        ),
        ({"base": ["dcgan"]}, "names no recipe"),
        ({"base": "dcgan", "optimizer": "sgd"}, "names no optimizer: `sgd`; known: adam, rmsprop, nesterov"),
        (
            {"base": "dense_cgan", "normalisation": "layer"},
            r"recipe\.normalisation`: this base's discriminator takes minibatch_discrimination",
        ),
        ({"base": "dcgan_small", "loss": "wasserstein", "gradient_penalty": 10.0}, "each image's own logit"),
        ({"base": "dcgan", "loss": "wasserstein"}, "needs `gradient_penalty` or `clip`, received neither"),
        ({"base": "acgan", "loss": "wasserstein", "clip": 0.01}, "expected `real_targets` 1"),
        ({"base": "wgan", "conditioning": "auxiliary"}, "tell no classes apart; expected `gradient_penalty`"),
        ({"base": "wgan", "conditioning": "one_more_class"}, "received `clip` 0.01"),
        ({"base": "dcgan_small", "conditioning": "projection", "loss": "wasserstein", "clip": 0.1}, "no classes"),
    ],
)
def test_what_is_unknown_or_does_not_fit_is_refused(source, message):
    with pytest.raises(SemisynthError, match=message):
        recipe_from(source)


def noise_of_three_classes():
    images = np.random.default_rng(0).integers(0, 256, (60, SIDE, SIDE), np.uint8)
    return ImageSet(images, np.arange(60) % 3, ("a", "b", "c"), "noise", 60)


# `wgan` clips its weights, with which no conditioning goes.
WITHOUT_CLASSES = [name for name, recipe in RECIPES.items() if not recipe.learns_classes and name != "wgan"]
CONDITIONED = [
    *((base, "auxiliary") for base in WITHOUT_CLASSES),
    *((base, head) for base in ("vanilla_gan", "dcgan_small") for head in ("projection", "one_more_class")),
]


@pytest.mark.parametrize(("base", "conditioning"), CONDITIONED)
def test_classes_come_into_a_base_without_them(base, conditioning, tmp_path):
    """A step changes every weight that it should, and a bundle gives back the same images."""
    labelled, recipe = noise_of_three_classes(), recipe_from({"base": base, "conditioning": conditioning})
    assert recipe.learns_classes
    assert recipe.conditional == (conditioning != "one_more_class")
    seed_everything(1)
    fresh = build_synthesizer(recipe, SIDE, 3)
    options = {"steps": 1, "epochs": 1, "batch_size": 6, "seed": 1, "ema_momentum": 0.0}
    trained, _ = train_synthesizer(recipe, labelled.images, labelled, **options)
    for network in ("generator", "discriminator"):
        pairs = zip(*(getattr(made, network).trainable_variables for made in (fresh, trained)), strict=True)
        for old, new in pairs:
            unused = "embedding" in old.path  # a row of a class that was not drawn stays
            unused |= recipe.loss.needs_slope and old.shape == (1,)  # a shift of all scores is worth nothing
            assert unused or not np.array_equal(old.numpy(), new.numpy()), old.path
    trained.save(tmp_path / "synthesizer")
    loaded = load_synthesizer(tmp_path / "synthesizer")
    assert loaded.recipe == recipe
    asked = np.zeros(3, np.int64)
    np.testing.assert_array_equal(loaded.sample(asked, seed=0), trained.sample(asked, seed=0))
    others = loaded.sample(np.array([0, 1, 0]), seed=0)
    if recipe.conditional:
        assert (others != loaded.sample(asked, seed=0)).any(axis=(1, 2)).tolist() == [False, True, False]


def test_a_conditioned_ensemble_in_reduced_precision_scores_anomalies(tmp_path):
    source = {"base": "vanilla_gan", "conditioning": "projection", "ensemble": 2, "minibatch_discrimination": True}
    labelled, recipe = noise_of_three_classes(), recipe_from(source)
    options = {"steps": 2, "epochs": 1, "batch_size": 6, "seed": 1, "precision": "bfloat16"}
    trained, _ = train_ensemble(recipe, labelled.images, labelled, **options)
    assert trained.sample(np.arange(3), seed=0).shape == (3, SIDE, SIDE)
    made = fit_detector_model(
        trained,
        labelled.images[:40],
        ["a"] * 40,
        labelled.images[40:],
        labelled.class_names,
        generated=0,
        references=20,
        seed=0,
    )
    assert "class_logsumexp" in made.suite.names
    made.save(tmp_path / "detector")
    judged = load_detector(tmp_path / "detector").judge(labelled.images)
    np.testing.assert_array_equal(judged.realness, made.judge(labelled.images).realness)


def test_a_conditioning_that_a_base_has_changes_nothing():
    for name, conditioning in (("acgan", "auxiliary"), ("sgan", "one_more_class"), ("dcgan", "none")):
        assert same_parts(recipe_from({"base": name, "conditioning": conditioning}), RECIPES[name])


def test_a_recipe_of_ones_own_trains_loads_and_scores_the_same(tmp_path):
    source = {"base": "vanilla_gan", "minibatch_discrimination": True, "replay": 4, "real_targets": [0.9, 1.0]}
    labelled = noise_of_three_classes()
    images = labelled.images
    trained, _ = train_synthesizer(recipe_from(source), images, labelled, steps=4, epochs=2, batch_size=4, seed=1)
    trained.save(tmp_path / "synthesizer")
    loaded = load_synthesizer(tmp_path / "synthesizer")
    assert loaded.recipe == trained.recipe
    np.testing.assert_array_equal(loaded.realness(images), trained.realness(images))
    made = fit_detector_model(
        loaded, images[:40], ["a"] * 40, images[40:], ("a", "b", "c"), generated=0, references=20, seed=0
    )
    made.save(tmp_path / "detector")
    judged = load_detector(tmp_path / "detector").judge(images)
    np.testing.assert_array_equal(judged.realness, made.judge(images).realness)


def test_a_new_entry_among_the_named_recipes_composes_and_trains(monkeypatch, tmp_path):
    parts = {"networks": "vanilla_gan", "optimizer": "adam", "generator_rate": 0.001, "discriminator_rate": 0.001}
    monkeypatch.setitem(NAMED, "mine", parts | {"replay": 8, "batch_size": 4})
    monkeypatch.setitem(RECIPES, "mine", composed("mine", NAMED["mine"]))
    recipe, labelled = recipe_from("mine"), noise_of_three_classes()
    assert (recipe.batch_size, recipe.stabilisers.replay, recipe.conditional) == (4, 8, False)
    trained, _ = train_synthesizer(recipe, labelled.images, labelled, steps=1, epochs=1, batch_size=4, seed=1)
    trained.save(tmp_path / "synthesizer")
    assert load_synthesizer(tmp_path / "synthesizer").recipe is recipe
    own = recipe_from({"base": "mine", "replay": 0})
    assert (own.batch_size, own.stabilisers.replay) == (4, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": "dcgan"}, "no part: `network`; did you mean `networks`"),
        ({"networks": "dcgan_smal"}, "no networks: `dcgan_smal`; did you mean `dcgan_small`"),
        ({"optimizer": None}, "no optimizer: `None`; known: adam"),
    ],
)
def test_a_misspelt_entry_is_told(wrong, message):
    with pytest.raises(SemisynthError, match=message):
        composed("mine", NAMED["dcgan"] | wrong)


def test_parameters_know_every_named_recipe():
    assert set(get_args(AdversarialName)) == set(NAMED)
