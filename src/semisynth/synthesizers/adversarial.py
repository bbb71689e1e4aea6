"""The training step of an adversarial recipe: one update of the discriminator, one of the generator."""

import math
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from semisynth.losses import feature_matching_loss
from semisynth.synthesizers.conditioning import Outputs
from semisynth.synthesizers.objectives import Targets
from semisynth.synthesizers.recipe import Recipe
from semisynth.synthesizers.stabilisers import ReplayBuffer, drawn_targets

TRACKED = ("discriminator_loss", "generator_loss", "class_loss", "d_real", "d_fake")
PURPOSES = ("latents", "classes", "real_targets", "fake_targets", "penalty", "replay", "noise")  # noise: several

Batch = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Keys:
    """The random keys int32 (2,) of one step."""

    seed: int
    step: tf.Tensor

    def of(self, purpose: str, number: int = 0) -> tf.Tensor:
        """The key for one of PURPOSES; `number` tells several of the last apart."""
        key = tf.stack([tf.constant(self.seed, tf.int32), self.step])
        return tf.random.fold_in(key, PURPOSES.index(purpose) + number)


class AdversarialModel(keras.Model):  # type: ignore[misc]
    """A generator and a discriminator that train against each other under `fit`.

    A batch holds `real` images float32 (b, side, side, 1) in [-1, 1]. Where labels come in beside them, there
    are also `labelled` images (m, side, side, 1) with their `labels` int64 (m,). The realness loss sees all real
    images, the discriminator's class loss the labelled ones alone; unlike the paper's (Odena 2017, arXiv
    1610.09585) it takes no synthetic ones, whose classes nothing vouches for where labels are few. Where the real
    images have labels, `labels` (b,) are theirs: each image's realness is judged as its class's, and the class
    loss, if any, sees the real images.
    Random numbers follow from `seed` and the step. Instance noise decays over `steps`, by default not at all.
    `optimizers` lists both, discriminator first. The logs' `discriminator_loss` leaves the penalty out.
    """

    def __init__(
        self,
        recipe: Recipe,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        classes: int,
        seed: int,
        steps: float = math.inf,
    ) -> None:
        super().__init__()
        self.recipe, self.generator, self.discriminator = recipe, generator, discriminator
        self.classes, self.seed, self.steps = classes, seed, steps
        self.trackers = {name: keras.metrics.Mean(name=name) for name in TRACKED}
        if recipe.stabilisers.replay:
            self.earlier_images = ReplayBuffer(recipe.stabilisers.replay, generator.output_shape[1:])
            self.earlier_classes = ReplayBuffer(recipe.stabilisers.replay, (), dtype="int32")

    def compile_pair(
        self, discriminator: keras.optimizers.Optimizer, generator: keras.optimizers.Optimizer
    ) -> None:
        """Attach both optimizers, built, so that a checkpoint holds all of their state.

        Keras itself is given none: it would end `fit` by setting one optimizer's averages on all weights.
        """
        super().compile(optimizer=None)
        self.discriminator_optimizer, self.generator_optimizer = discriminator, generator
        discriminator.build(self.discriminator.trainable_variables)
        generator.build(self.generator.trainable_variables)
        self.optimizers = [discriminator, generator]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means over an epoch, which Keras resets at its start."""
        return list(self.trackers.values())

    def draw(self, count: tf.Tensor, keys: Keys) -> list[tf.Tensor]:
        """Inputs of the generator: latents (count, latent) and, if conditional, classes int32 (count,)."""
        latents = self.recipe.pair.random_latents(count, keys.of("latents"))
        if not self.recipe.conditional:
            return [latents]
        return [latents, tf.random.stateless_uniform((count,), keys.of("classes"), 0, self.classes, tf.int32)]

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """One update of each network; the same synthetic images serve both."""
        keys = Keys(self.seed, tf.cast(self.discriminator_optimizer.iterations, tf.int32))
        inputs = self.draw(tf.shape(batch["real"])[0], keys)
        asked = inputs[1] if self.recipe.conditional else None
        with tf.GradientTape() as tape:
            fake = self.generator(inputs, training=True)
            with tape.stop_recording():
                logs = self._update_discriminator(batch, fake, asked, keys)
            kept = [tf.identity(weight) for weight in self.discriminator.non_trainable_weights]
            loss = self._generator_loss(batch, fake, asked, keys)
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(loss, variables), variables)
        for weight, value in zip(self.discriminator.non_trainable_weights, kept, strict=True):
            weight.assign(value)  # averages over batches, which only the discriminator's own update renews
        for name, value in {**logs, "generator_loss": loss}.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _generator_loss(self, batch: Batch, fake: tf.Tensor, asked: tf.Tensor | None, keys: Keys) -> tf.Tensor:
        recipe = self.recipe
        judged = self.discriminator(self._noisy(fake, keys, 3), training=True)
        if recipe.stabilisers.feature_matching:
            real = self.discriminator(self._noisy(batch["real"], keys, 4), training=True)
            loss = tf.reduce_sum(feature_matching_loss(real["features"], judged["features"]))
        else:
            loss = recipe.loss.of_generator(recipe.conditioning.realness(judged, asked))
        return loss + recipe.class_weight * recipe.conditioning.asked_loss(judged, asked)

    def _update_discriminator(
        self, batch: Batch, fake: tf.Tensor, asked: tf.Tensor | None, keys: Keys
    ) -> dict[str, tf.Tensor]:
        loss, conditioning, labels = self.recipe.loss, self.recipe.conditioning, batch.get("labels")
        fake, asked = self._replayed(fake, asked, keys)
        parts = [batch["real"], fake, *([batch["labelled"]] if "labelled" in batch else [])]
        parts = [self._noisy(part, keys, number) for number, part in enumerate(parts)]
        with tf.GradientTape() as tape:
            first, second, *labelled = self._judge(parts)
            real, generated = conditioning.realness(first, labels), conditioning.realness(second, asked)
            realness = loss.of_discriminator(real, generated, self._targets(tf.shape(fake)[0], keys))
            penalty = loss.penalty(
                lambda points: conditioning.realness(self.discriminator(points, training=True), labels),
                parts[0],
                parts[1],
                keys.of("penalty"),
            )
            by_class = conditioning.class_loss(labelled[0] if labelled else first, labels)
            total = realness + by_class + penalty
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(total, variables), variables)
        loss.clip_weights(self.discriminator)
        return {
            "discriminator_loss": realness,
            "class_loss": by_class,
            "d_real": tf.reduce_mean(loss.shown(real)),
            "d_fake": tf.reduce_mean(loss.shown(generated)),
        }

    def _judge(self, parts: list[tf.Tensor]) -> list[Outputs]:
        """The discriminator's outputs for each part, in one batch unless the images of a batch are compared."""
        if self.recipe.pair.compares_images:
            return [self.discriminator(part, training=True) for part in parts]
        judged = self.discriminator(tf.concat(parts, 0), training=True)
        ends = tf.cumsum([tf.shape(part)[0] for part in parts])
        starts = tf.concat([[0], ends[:-1]], 0)
        return [
            {name: output[starts[part] : ends[part]] for name, output in judged.items()}
            for part in range(len(parts))
        ]

    def _noisy(self, images: tf.Tensor, keys: Keys, number: int) -> tf.Tensor:
        """Images as the discriminator sees them; `number` tells the noises of a step apart."""
        return self.recipe.stabilisers.noise(images, keys.step, self.steps, keys.of("noise", number))

    def _targets(self, count: tf.Tensor, keys: Keys) -> Targets:
        stabilisers = self.recipe.stabilisers
        return (
            drawn_targets(count, stabilisers.real_targets, keys.of("real_targets")),
            drawn_targets(count, stabilisers.fake_targets, keys.of("fake_targets")),
        )

    def _replayed(
        self, fake: tf.Tensor, asked: tf.Tensor | None, keys: Keys
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Synthetic images and the classes asked for, some of them from earlier steps."""
        if not self.recipe.stabilisers.replay:
            return fake, asked
        images = self.earlier_images.exchange(fake, keys.of("replay"))
        return images, None if asked is None else self.earlier_classes.exchange(asked, keys.of("replay"))
