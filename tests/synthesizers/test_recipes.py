"""The parts that recipes are composed of, and the training step that joins them."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.synthesizers import pairs
from semisynth.synthesizers.adversarial import AdversarialModel, Keys
from semisynth.synthesizers.composition import RECIPES, recipe_by_name
from semisynth.synthesizers.conditioning import AUXILIARY, NONE, ONE_MORE_CLASS, PROJECTION
from semisynth.synthesizers.model import build_synthesizer
from semisynth.synthesizers.objectives import CrossEntropy, Wasserstein
from semisynth.synthesizers.recipe import OPTIMIZERS
from semisynth.synthesizers.stabilisers import Stabilisers
from semisynth.synthesizers.training import train_synthesizer

SIDE = 16
KEY = tf.constant([5, 6])


@pytest.mark.parametrize(
    ("name", "optimizer", "rates", "batch_size", "real_targets", "fake_targets"),
    [
        ("vanilla_gan", "adam", (0.001, 0.001), 64, (1, 1), (0, 0)),
        ("dense_gan", "adam", (0.0002, 0.0002), 128, (0.8, 1), (0, 0.2)),
        ("dense_cgan", "adam", (0.0005, 0.0005), 128, (0.8, 1), (0, 0.2)),
        ("tanh_conv_gan", "nesterov", (0.0005, 0.0005), 32, (1, 1), (0, 0)),
        ("dcgan", "rmsprop", (0.0001, 0.0002), 256, (1, 1), (0, 0)),
        ("dcgan_small", "adam", (0.0002, 0.0002), 64, (1, 1), (0, 0)),
        ("wgan", "rmsprop", (0.00005, 0.00005), 64, (1, 1), (0, 0)),
        ("wgan_gp", "adam", (0.0002, 0.0002), 64, (1, 1), (0, 0)),
        ("acgan", "adam", (0.0002, 0.0002), 64, (0.95, 0.95), (0, 0)),
        ("sgan", "adam", (0.0002, 0.0002), 64, (1, 1), (0, 0)),
        ("semi_acgan", "adam", (0.0008, 0.0008), 64, (1, 1), (0, 0)),
    ],
)
def test_recipes_train_as_their_sources_do(name, optimizer, rates, batch_size, real_targets, fake_targets):
    recipe = recipe_by_name(name)
    assert recipe.optimizer is OPTIMIZERS[optimizer]
    assert (recipe.generator_rate, recipe.discriminator_rate) == rates
    assert recipe.batch_size == batch_size
    assert (recipe.stabilisers.real_targets, recipe.stabilisers.fake_targets) == (real_targets, fake_targets)


def test_the_penalty_of_a_linear_critic_is_that_of_its_slope():
    weights = tf.random.stateless_normal((SIDE * SIDE, 1), [1, 2])
    loss = Wasserstein(gradient_penalty=10.0)
    received = loss.penalty(
        lambda images: tf.matmul(tf.reshape(images, (-1, SIDE * SIDE)), weights)[:, 0],
        tf.ones((3, SIDE, SIDE, 1)),
        tf.zeros((3, SIDE, SIDE, 1)),
        KEY,
    )
    assert float(received) == pytest.approx(10 * (np.linalg.norm(weights) - 1) ** 2, rel=1e-4)


def test_the_penalty_looks_at_points_between_both_kinds_of_a_share_for_each_image():
    seen = []

    def judge(images):
        seen.append(images.numpy())
        return tf.reduce_sum(images, axis=[1, 2, 3])

    Wasserstein(gradient_penalty=1.0).penalty(judge, tf.ones((400, 2, 2, 1)), -tf.ones((400, 2, 2, 1)), KEY)
    assert seen[0].std(axis=(1, 2, 3)).max() == 0
    shares = seen[0][:, 0, 0, 0]
    assert (shares.min(), shares.mean(), shares.max()) == pytest.approx((-1, 0, 1), abs=0.1)
    assert float(CrossEntropy().penalty(judge, tf.ones((2, 2, 2, 1)), tf.ones((2, 2, 2, 1)), KEY)) == 0
    assert len(seen) == 1


def test_losses_by_hand():
    real, fake = tf.constant([2.0, 4.0]), tf.constant([1.0, -3.0])
    assert float(Wasserstein(clip=1.0).of_discriminator(real, fake, (1, 0))) == -3 + -1
    assert float(Wasserstein(clip=1.0).of_generator(fake)) == 1
    softplus = np.log1p(np.exp([-2.0, -4.0])).mean() + np.log1p(np.exp([1.0, -3.0])).mean()
    assert float(CrossEntropy().of_discriminator(real, fake, (1, 0))) == pytest.approx(softplus)
    assert float(CrossEntropy().of_generator(fake)) == pytest.approx(np.log1p(np.exp([-1.0, 3.0])).mean())


def test_classes_come_in_as_the_conditioning_says():
    outputs = {
        "realness": tf.constant([7.0, 8.0]),
        "by_class": tf.constant([[1.0, 2.0], [3.0, 4.0]]),
        "classes": tf.constant([[0.0, 0.0], [0.0, 0.0]]),
    }
    labels = tf.constant([1, 0])
    assert NONE.realness(outputs, None).numpy().tolist() == [7, 8]
    assert PROJECTION.realness(outputs, labels).numpy().tolist() == [2, 3]
    losses = [(one.class_loss(outputs, labels), one.asked_loss(outputs, labels)) for one in (AUXILIARY, NONE)]
    assert np.array(losses) == pytest.approx(np.array([[np.log(2)] * 2, [0, 0]]))
    assert float(ONE_MORE_CLASS.asked_loss(outputs, None)) == 0


def planted(loss=None, **stabilisers):
    """A recipe whose generator makes images of 0.5 and whose discriminator adds pixels; both have one weight."""
    latent, images = keras.Input((2,)), keras.Input((2, 2, 1))
    made = keras.layers.Dense(
        4, use_bias=True, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(0.5)
    )
    generator = keras.Model([latent], keras.layers.Reshape((2, 2, 1))(made(latent)))
    flat = keras.layers.Flatten()(images)
    realness = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(flat)
    outputs = {"realness": keras.layers.Reshape(())(realness), "features": flat}
    pair = pairs.Pair(lambda *_: generator, lambda *_: keras.Model(images, outputs), 2)
    return replace(
        recipe_by_name("dcgan"),
        pair=pair,
        loss=loss or CrossEntropy(),
        stabilisers=Stabilisers(**stabilisers),
    )


def compiled(recipe, rate=0.0, **options):
    model = AdversarialModel(
        recipe, recipe.generator(2, 2), recipe.discriminator(2, 2), classes=2, seed=3, **options
    )
    model.compile_pair(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    return model


def step(model, real=0.0):
    logs = model.train_step({"real": tf.fill((6, 2, 2, 1), real)})
    for tracker in model.metrics:
        tracker.reset_state()
    return {name: float(value) for name, value in logs.items()}


def test_a_planted_step_by_hand():
    logs = step(compiled(planted()))
    assert logs["d_real"] == 0.5
    assert logs["d_fake"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert logs["discriminator_loss"] == pytest.approx(np.log(2) + 2 + np.log1p(np.exp(-2)))
    assert logs["generator_loss"] == pytest.approx(np.log1p(np.exp(-2)))
    scores = step(compiled(planted(Wasserstein(clip=5.0))))
    assert (scores["d_real"], scores["d_fake"], scores["discriminator_loss"]) == (0, 2, 2)


def test_soft_targets_enter_the_discriminators_loss():
    """Logits are 0 for real images and 2 for synthetic ones."""
    logs = step(compiled(planted(real_targets=(0.9, 0.9), fake_targets=(0.2, 0.2))))
    of_fake = 0.2 * np.log1p(np.exp(-2)) + 0.8 * (2 + np.log1p(np.exp(-2)))
    assert logs["discriminator_loss"] == pytest.approx(np.log(2) + of_fake)


def test_a_gradient_penalty_moves_the_discriminators_weights():
    """Four weights of 1 make a slope of 2: each falls by .5, that of the scores, and by the penalty's 10."""
    model = compiled(planted(Wasserstein(gradient_penalty=10.0)), rate=0.01)
    step(model)
    weights = model.discriminator.trainable_variables[0].numpy().ravel()
    assert weights == pytest.approx(1 - 0.01 * (0.5 + 10.0), abs=1e-5)


def test_the_generators_class_loss_has_its_weight():
    """Class logits are all 0; the planted generator's images have logit 2."""
    plain = planted().pair

    def conditional_generator(side, classes, dtype=None):
        latent, asked = keras.Input((2,)), keras.Input((), dtype="int32")
        return keras.Model([latent, asked], plain.generator(side)(latent))

    def with_classes(side, classes, dtype=None):
        inner = plain.discriminator(side)
        logits = keras.layers.Dense(classes, kernel_initializer="zeros")(inner.output["features"])
        return keras.Model(inner.input, {**inner.output, "classes": logits})

    pair = pairs.Pair(conditional_generator, with_classes, 2, AUXILIARY)
    model = compiled(replace(planted(), pair=pair, class_weight=0.5))
    images = tf.zeros((6, 2, 2, 1))
    logs = model.train_step({"real": images, "labelled": images, "labels": tf.zeros((6,), tf.int64)})
    assert float(logs["generator_loss"]) == pytest.approx(np.log1p(np.exp(-2)) + 0.5 * np.log(2))
    assert float(logs["class_loss"]) == pytest.approx(np.log(2))


def test_matched_features_replace_the_generators_loss():
    """Four features, each 0.5 apart from the real images' 0.25."""
    assert step(compiled(planted(feature_matching=True)), real=0.25)["generator_loss"] == pytest.approx(4 / 16)


def test_noise_falls_on_all_that_the_discriminator_sees_until_the_last_step():
    model = compiled(planted(Wasserstein(clip=5.0), instance_noise=0.5), steps=2)
    first, second, third = (step(model) for _ in range(3))
    assert 0 != first["d_real"] != pytest.approx(second["d_real"])
    assert 2 != first["d_fake"] != pytest.approx(2 + first["d_real"])
    assert -2 != first["generator_loss"] != pytest.approx(-first["d_fake"])
    assert (third["d_real"], third["d_fake"], third["generator_loss"]) == (0, 2, -2)


def test_noise_does_not_decay_where_no_end_is_known():
    model = compiled(planted(Wasserstein(clip=5.0), instance_noise=0.5))
    assert all(step(model)["d_real"] for _ in range(3))


def test_replayed_images_are_earlier_ones():
    """The generator changes; half of what the discriminator sees is what it made at the step before."""
    model = compiled(planted(Wasserstein(clip=5.0), replay=3))
    assert step(model)["d_fake"] == 2
    model.generator.layers[1].bias.assign([1.0] * 4)
    assert step(model)["d_fake"] == pytest.approx((2 + 4) / 2)
    assert step(model)["d_fake"] == pytest.approx(4)


def test_replayed_images_keep_their_classes():
    recipe = replace(recipe_by_name("dense_cgan"), stabilisers=Stabilisers(replay=4))
    fresh = build_synthesizer(recipe, SIDE, 3)
    model = AdversarialModel(recipe, fresh.generator, fresh.discriminator, classes=3, seed=3)
    marks = tf.constant([[0, 1, 2, 0], [2, 2, 1, 1], [1, 0, 0, 2]])
    for number, asked in enumerate(marks):
        images = tf.reshape(tf.cast(asked, tf.float32), (4, 1, 1, 1)) + tf.zeros((4, SIDE, SIDE, 1))
        seen, classes = model._replayed(images, asked, Keys(3, tf.constant(number)))
        assert seen[:, 0, 0, 0].numpy().tolist() == classes.numpy().tolist()
    assert classes.numpy().tolist() != asked.numpy().tolist()


def test_soft_labels_are_drawn_anew_each_step():
    recipe = recipe_by_name("dense_gan")
    model = AdversarialModel(recipe, *(keras.Sequential() for _ in range(2)), classes=2, seed=3)
    real, fake = model._targets(1000, Keys(3, tf.constant(0)))
    assert (float(tf.reduce_min(real)), float(tf.reduce_max(real))) == pytest.approx((0.8, 1), abs=0.01)
    assert (float(tf.reduce_min(fake)), float(tf.reduce_max(fake))) == pytest.approx((0, 0.2), abs=0.01)
    assert not np.allclose(real, 1 - fake)
    assert not np.allclose(real, model._targets(1000, Keys(3, tf.constant(1)))[0])
    assert compiled(planted(real_targets=(0.9, 0.9)))._targets(3, Keys(0, tf.constant(0))) == (0.9, 0)


def test_seeds_steps_and_purposes_have_keys_of_their_own():
    """Not even the next seed's latents are this seed's classes."""
    keys = [
        Keys(seed, tf.constant(step)).of(purpose, number).numpy()
        for seed in (3, 4)
        for step in (0, 1)
        for purpose, number in (("latents", 0), ("classes", 0), ("noise", 0), ("noise", 1), ("noise", 2))
    ]
    assert len({tuple(key) for key in keys}) == len(keys)


@pytest.fixture(scope="module")
def labelled():
    images = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE), np.uint8)
    return ImageSet(images, np.arange(12) % 3, ("a", "b", "c"), "noise", 12)


def train(recipe, labelled, **options):
    settings = {"steps": 1, "epochs": 1, "batch_size": 4, "seed": 1, "ema_momentum": 0.0} | options
    return train_synthesizer(recipe, labelled.images, labelled, **settings)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_clipped_weights_stay_small(labelled, momentum):
    """Also the averaged ones, which take in weights from before their clipping."""
    recipe = replace(recipe_by_name("vanilla_gan"), loss=Wasserstein(clip=0.01))
    trained, _ = train(recipe, labelled, steps=30, ema_momentum=momentum, rate=0.1)
    largest = [np.abs(weight.numpy()).max() for weight in trained.discriminator.trainable_variables]
    assert max(largest) == pytest.approx(0.01)
    assert max(np.abs(weight.numpy()).max() for weight in trained.generator.trainable_variables) > 0.01


def test_wgan_clips_its_critic():
    assert recipe_by_name("wgan").loss == Wasserstein(clip=0.01)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_minibatch_discrimination_is_for_every_recipe_but_those_with_a_gradient_penalty(name):
    base = recipe_by_name(name)
    pair = base.pair.with_options(minibatch_discrimination=True)
    if base.loss.gradient_penalty:
        with pytest.raises(SemisynthError, match="no minibatch discrimination, received"):
            replace(base, pair=pair)
        return
    comparing = replace(base, pair=pair)
    assert comparing.pair.compares_images
    critic = comparing.adversary(comparing.discriminator(20, 3))
    images = tf.Variable(tf.random.normal((2, 20, 20, 1), seed=2))
    with tf.GradientTape() as tape:
        judged = critic(images, training=True)
        logit = judged["by_class" if "by_class" in judged else "realness"][0]
    assert float(tf.reduce_max(tf.abs(tape.gradient(logit, images)[1]))) > 0


ALL = Stabilisers((0.9, 1.0), (0.0, 0.1), instance_noise=0.1, feature_matching=True, replay=4)


@pytest.mark.parametrize("name", ["vanilla_gan", "sgan", "semi_acgan"])
def test_all_stabilisers_together(name, labelled):
    recipe = recipe_by_name(name)
    pair = recipe.pair.with_options(minibatch_discrimination=True)
    trained, history = train(replace(recipe, pair=pair, stabilisers=ALL), labelled, steps=4, epochs=2)
    assert np.isfinite([list(epoch.values()) for epoch in history]).all()
    assert trained.sample(np.arange(3), seed=0).std() > 0


class KilledError(Exception):
    pass


def test_an_interrupted_training_with_every_stabiliser_ends_bit_identical(labelled, tmp_path):
    recipe, options = replace(recipe_by_name("vanilla_gan"), stabilisers=ALL), {"steps": 12, "epochs": 3}
    straight, history = train(recipe, labelled, **options)

    def kill(number, _):
        if number == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train(recipe, labelled, resume=tmp_path, on_epoch=kill, **options)
    resumed, resumed_history = train(recipe, labelled, resume=tmp_path, **options)
    assert resumed_history == history
    for network in ("generator", "discriminator"):
        for one, other in zip(
            *(getattr(made, network).get_weights() for made in (straight, resumed)), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_uniform_latents_are_those_of_training_and_sampling():
    for latents in (
        pairs.PAIRS["vanilla_gan"].random_latents(200, KEY),
        recipe_by_name("vanilla_gan").sampled_latents(200, np.random.default_rng(0)),
    ):
        assert latents.shape == (200, 20)
        assert latents.dtype == np.float32
        assert (np.min(latents), np.mean(latents), np.max(latents)) == pytest.approx((-1, 0, 1), abs=0.05)
    assert recipe_by_name("dense_gan").sampled_latents(200, np.random.default_rng(0)).std() == pytest.approx(
        1, abs=0.05
    )


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("dcgan_small", {"loss": CrossEntropy(gradient_penalty=10.0)}, "each image's own logit.*'batch'"),
        (
            "vanilla_gan",
            {
                "loss": CrossEntropy(gradient_penalty=10.0),
                "pair": pairs.PAIRS["vanilla_gan"].with_options(minibatch_discrimination=True),
            },
            "no minibatch discrimination, received",
        ),
        ("wgan", {"stabilisers": Stabilisers(real_targets=(0.9, 0.9))}, "soft targets go with cross-entropy"),
        ("wgan", {"loss": Wasserstein()}, "needs `gradient_penalty` or `clip`, received neither"),
        (
            "wgan_gp",
            {"loss": Wasserstein(10.0, 0.01)},
            "expected `gradient_penalty` 0 or `clip` 0, received 10.0 and",
        ),
        ("dense_cgan", {"stabilisers": Stabilisers(feature_matching=True)}, "expected no `feature_matching`"),
        ("acgan", {"class_weight": 0.0}, "nothing would teach the generator its classes; expected `class_weight`"),
        ("dcgan", {"class_weight": 0.5}, "`class_weight` is for generators that draw classes"),
        ("dense_cgan", {"loss": CrossEntropy(gradient_penalty=1.0)}, "would mix the classes; expected"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(name, changes, message):
    with pytest.raises(SemisynthError, match=f"recipe `{name}`: .*{message}"):
        replace(recipe_by_name(name), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"real_targets": (0.9, 1.1)}, "`real_targets`: expected 0 <= low <= high <= 1, received 0.9 and 1.1"),
        ({"instance_noise": -0.1}, "`instance_noise`: expected 0 or more, received -0.1"),
    ],
)
def test_impossible_stabilisers_are_refused(changes, message):
    with pytest.raises(SemisynthError, match=message):
        Stabilisers(**changes)


def test_an_option_that_a_discriminator_does_not_take_is_refused():
    with pytest.raises(SemisynthError, match="normalisation`: this base's discriminator takes minibatch_discrim"):
        pairs.PAIRS["vanilla_gan"].with_options(normalisation="layer")


def test_a_class_head_without_labels_is_refused(labelled):
    for name in ("sgan", "dense_cgan"):
        with pytest.raises(
            SemisynthError, match=f"`{name}` learns classes: expected labels, received images without"
        ):
            train(recipe_by_name(name), labelled.with_labels_removed())


def test_too_small_a_replay_is_refused(labelled):
    recipe = replace(recipe_by_name("vanilla_gan"), stabilisers=Stabilisers(replay=3))
    with pytest.raises(SemisynthError, match="at least half a batch, 4, received 3"):
        train(recipe, labelled, batch_size=8)
