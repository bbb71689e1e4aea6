import functools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.synthesizers.adversarial import AdversarialModel
from semisynth.synthesizers.composition import RECIPES, recipe_by_name, recipe_from
from semisynth.synthesizers.model import KIND, build_synthesizer, load_synthesizer
from semisynth.synthesizers.training import train_synthesizer
from semisynth.training.bundle import save_bundle
from semisynth.training.determinism import seed_everything

SIDE = 20
STEPS = {"acgan": 12, "semi_acgan": 12, "dcgan": 4}  # else 2; from 11 on weights are averaged
ONE_STEP = {"steps": 1, "epochs": 1, "ema_momentum": 0.0}


@pytest.fixture(scope="module")
def labelled():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, SIDE, SIDE), np.uint8)
    return ImageSet(images, np.arange(12) % 3, ("a", "b", "c"), "noise", 12)


def train(name, labelled, **options):
    settings = {"steps": STEPS.get(name, 2), "epochs": 2, "batch_size": 4, "seed": 1} | options
    return train_synthesizer(recipe_by_name(name), labelled.images, labelled, **settings)


@pytest.fixture(scope="module")
def train_once(labelled):
    """`train`, which for equal arguments runs once."""
    return functools.cache(lambda name, **options: train(name, labelled, **options))


def weights(synthesizer):
    return [*synthesizer.generator.get_weights(), *synthesizer.discriminator.get_weights()]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_trains_saves_loads_and_samples_the_same(name, train_once, tmp_path):
    trained, history = train_once(name)
    assert len(history) == 2
    assert all(np.isfinite(list(epoch.values())).all() for epoch in history)
    labels = np.array([0, 1, 2, 2])
    images = trained.sample(labels, seed=3)
    assert images.shape == (4, SIDE, SIDE)
    assert images.dtype == np.uint8
    trained.save(tmp_path / "s")
    loaded = load_synthesizer(tmp_path / "s")
    np.testing.assert_array_equal(loaded.sample(labels, seed=3), images)
    assert not np.array_equal(loaded.sample(labels, seed=4), images)
    np.testing.assert_array_equal(loaded.realness(images), trained.realness(images))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_outputs_are_all_that_the_discriminator_gives(name):
    synthesizer = build_synthesizer(recipe_by_name(name), SIDE, 3)
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), np.uint8)
    outputs = synthesizer.outputs(images)
    assert outputs["features"].shape[0] == 5
    assert outputs["features"].ndim == 2
    assert {array.dtype for array in outputs.values()} == {np.dtype(np.float32)}
    assert ("classes" in outputs) == synthesizer.tells_classes
    np.testing.assert_array_equal(outputs["realness"], synthesizer.realness(images))
    assert len(np.unique(outputs["features"], axis=0)) == 5


@pytest.fixture
def eager():
    """Steps without a graph: what takes one step is spared seconds of tracing."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("still", ["generator", "discriminator"])
@pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")  # the data's functions stay graphs
@pytest.mark.usefixtures("eager")
def test_an_update_changes_every_weight_of_one_network_and_none_of_the_other(name, still, labelled):
    """At a rate of 0 a network moves only if the other one's update touches it."""
    recipe = replace(recipe_by_name(name), **{f"{still}_rate": 0.0})
    if recipe.loss.clip:  # moves weights itself, unless they are small enough
        recipe = replace(recipe, loss=replace(recipe.loss, clip=100.0))
    seed_everything(1)
    fresh = build_synthesizer(recipe, SIDE, 3)
    trained, _ = train_synthesizer(recipe, labelled.images, labelled, batch_size=4, seed=1, **ONE_STEP)
    for network in ("generator", "discriminator"):
        before, after = (getattr(one, network) for one in (fresh, trained))
        if network == "discriminator" and network != still:  # the labeller inside it stays as it was trained
            before, after = recipe.adversary(before), recipe.adversary(after)
        for old, new in zip(before.trainable_variables, after.trainable_variables, strict=True):
            unused = "embedding" in old.path  # a row of a class that was not drawn stays
            unused |= recipe.loss.needs_slope and old.shape == (1,)  # a shift of all scores is worth nothing
            moved = not np.array_equal(old.numpy(), new.numpy())
            assert not moved if network == still else moved or unused, old.path


@pytest.mark.parametrize("base", ["dcgan_small", "vanilla_gan"])
@pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")  # the data's functions stay graphs
@pytest.mark.usefixtures("eager")
def test_an_update_of_the_generator_leaves_all_of_the_discriminator(base, labelled, monkeypatch):
    """Its averages over batches as well."""

    def rest(self, *_):
        return dict.fromkeys(("discriminator_loss", "class_loss", "d_real", "d_fake"), 0.0)

    monkeypatch.setattr(AdversarialModel, "_update_discriminator", rest)
    recipe = recipe_from({"base": base, "minibatch_discrimination": True})
    seed_everything(1)
    fresh = build_synthesizer(recipe, SIDE, 3)
    trained, _ = train_synthesizer(recipe, labelled.images, labelled, batch_size=4, seed=1, **ONE_STEP)
    assert any(not weight.trainable for weight in fresh.discriminator.weights)
    for old, new in zip(*(one.discriminator.get_weights() for one in (fresh, trained)), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(fresh.generator.get_weights()[0], trained.generator.get_weights()[0])


def test_a_step_leaves_the_labeller_as_it_was_trained(train_once):
    seed_everything(1)
    fresh = build_synthesizer(recipe_by_name("semi_acgan"), SIDE, 3)
    trained, _ = train_once("semi_acgan", **ONE_STEP)
    before, after = (one.discriminator.get_layer("labeller").get_weights() for one in (fresh, trained))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_same_seed_gives_the_same_weights(labelled, train_once):
    first, _ = train_once("acgan", **ONE_STEP)
    second, _ = train("acgan", labelled, **ONE_STEP)
    other, _ = train("acgan", labelled, seed=2, **ONE_STEP)
    for one, same, different in zip(*map(weights, (first, second, other)), strict=True):
        np.testing.assert_array_equal(one, same)
        assert one.ndim == 1 or not np.array_equal(one, different)  # biases may start alike, kernels may not


class KilledError(Exception):
    pass


@pytest.mark.parametrize(
    ("name", "more"), [("acgan", {}), ("acgan", {"precision": "bfloat16", "steps": 4}), ("dcgan", {})]
)
def test_an_interrupted_training_repeats_no_epoch_and_ends_bit_identical(
    labelled, train_once, tmp_path, name, more
):
    straight, history = train_once(name, **more)
    called = []

    def kill(number, _):
        called.append(number)
        if called == [1, 2]:
            raise KilledError

    options = more | {"resume": tmp_path, "on_epoch": kill}
    with pytest.raises(KilledError):
        train(name, labelled, **options)
    resumed, resumed_history = train(name, labelled, **options)
    assert called == [1, 2, 2]
    assert resumed_history == history
    for ours, theirs in zip(weights(straight), weights(resumed), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_are_averaged_over_the_last_tenth(labelled, train_once):
    """With a momentum of 1 - 10 / 12, twelve steps leave the averages near the last weights, and not at them."""
    plain, _ = train("acgan", labelled, ema_momentum=0.0)
    averaged, _ = train_once("acgan")
    early, _ = train_once("acgan", **ONE_STEP)
    for which in ("generator", "discriminator"):
        last, mean, first = (
            getattr(one, which).trainable_variables[0].numpy() for one in (plain, averaged, early)
        )
        assert 0 < np.abs(mean - last).mean() < np.abs(first - last).mean() / 2


def test_both_optimizers_count_the_steps(labelled):
    recipe = recipe_by_name("acgan")
    fresh = build_synthesizer(recipe, SIDE, 3)
    model = AdversarialModel(recipe, fresh.generator, fresh.discriminator, classes=3, seed=0)
    model.compile_pair(recipe.optimizer(0.001, 0.9), recipe.optimizer(0.001, 0.9))
    images = np.zeros((2, SIDE, SIDE, 1), np.float32)
    for _ in range(3):
        model.train_step({"real": images, "labelled": images, "labels": np.array([0, 1])})
    assert [int(optimizer.iterations) for optimizer in model.optimizers] == [3, 3]


def test_class_loss_sees_labelled_images_alone(labelled, train_once):
    """Other unlabelled images change the realness loss, and not the class loss of the first step."""
    _, first = train_once("acgan", **ONE_STEP)
    recipe, options = recipe_by_name("acgan"), {"batch_size": 4, "seed": 1} | ONE_STEP
    _, second = train_synthesizer(recipe, 255 - labelled.images, labelled, **options)
    assert first[0]["class_loss"] == pytest.approx(second[0]["class_loss"], abs=1e-6)
    assert first[0]["discriminator_loss"] != pytest.approx(second[0]["discriminator_loss"], abs=1e-6)


def test_an_unknown_recipe_is_named_with_the_nearest():
    with pytest.raises(SemisynthError, match="`acgann`; did you mean `acgan`"):
        recipe_by_name("acgann")


def test_a_recipe_that_cannot_make_the_side_is_refused_before_training():
    images = np.zeros((4, 16, 16), np.uint8)
    small = ImageSet(images, np.arange(4) % 2, ("a", "b"), "small", 4)
    with pytest.raises(SemisynthError, match="received 16"):
        train("acgan", small)


def test_samples_show_what_the_head_finds_else_what_was_asked_for():
    images, asked = np.zeros((3, SIDE, SIDE), np.uint8), np.array([0, 1, 1])
    shown = {
        name: build_synthesizer(recipe_by_name(name), SIDE, 2).classes_shown(images, asked)
        for name in ("acgan", "dense_cgan", "vanilla_gan")
    }
    assert len(set(shown["acgan"].tolist())) == 1  # equal images
    assert (shown["dense_cgan"].tolist(), shown["vanilla_gan"]) == ([0, 1, 1], None)


def test_a_bundle_of_an_unknown_recipe_is_refused_by_its_name(tmp_path):
    folder = tmp_path / "newer"
    save_bundle(folder, KIND, {"recipe": "acgann", "side": 16, "classes": 3}, lambda inside: None)
    with pytest.raises(SemisynthError, match=f"{folder}: made by a recipe that .* `acgann`; did you mean `acgan`"):
        load_synthesizer(folder)
