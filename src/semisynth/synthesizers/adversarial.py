"""The training step of an adversarial recipe: one update of the discriminator, one of the generator."""

from typing import Any

import keras
import tensorflow as tf

from semisynth.losses import class_loss, realness_loss
from semisynth.synthesizers.recipes import Recipe

TRACKED = ("discriminator_loss", "generator_loss", "class_loss", "d_real", "d_fake")


class AdversarialModel(keras.Model):  # type: ignore[misc]
    """A generator and a discriminator that train against each other under `fit`.

    A batch holds `real` images float32 (b, side, side, 1) in [-1, 1]. For an auxiliary classifier there are
    also `labelled` images (m, side, side, 1) with their `labels` int64 (m,). The realness loss sees all real
    images, the discriminator's class loss the labelled ones alone; unlike the paper's (Odena 2017,
    arXiv 1610.09585) it takes no synthetic ones, whose classes nothing vouches for where labels are few. For a
    projection, `labels` (b,) are those of the real images, and each image's realness is judged as its class's;
    the class loss sees the real images.
    Latents follow from `seed` and the step. `optimizers` lists both, discriminator first.
    """

    def __init__(
        self, recipe: Recipe, generator: keras.Model, discriminator: keras.Model, *, classes: int, seed: int
    ) -> None:
        super().__init__()
        self.recipe, self.generator, self.discriminator = recipe, generator, discriminator
        self.classes, self.seed = classes, seed
        self.trackers = {name: keras.metrics.Mean(name=name) for name in TRACKED}

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

    def draw(self, count: tf.Tensor) -> list[tf.Tensor]:
        """Inputs of the generator for this step: latents (count, latent) and, if conditional, classes (count,)."""
        step = tf.cast(self.discriminator_optimizer.iterations, tf.int32)
        key = tf.stack([tf.constant(self.seed, tf.int32), step])
        latents = tf.random.stateless_normal((count, self.recipe.latent_size), key)
        if not self.recipe.conditional:
            return [latents]
        return [
            latents,
            tf.random.stateless_uniform((count,), key + tf.constant([1, 0]), 0, self.classes, tf.int32),
        ]

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, Any]:
        """One update of each network; the same synthetic images serve both."""
        inputs = self.draw(tf.shape(batch["real"])[0])
        with tf.GradientTape() as tape:
            fake = self.generator(inputs, training=True)
            with tape.stop_recording():
                logs = self._update_discriminator(batch, fake, inputs[-1])
            judged = self.discriminator(fake, training=True)
            loss = tf.reduce_mean(realness_loss(self._realness(judged, inputs[-1]), 1))
            if self.recipe.conditional:
                loss += self.recipe.class_weight * tf.reduce_mean(class_loss(judged["classes"], inputs[1]))
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(loss, variables), variables)
        for name, value in {**logs, "generator_loss": loss}.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _realness(self, judged: dict[str, tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
        """Realness logits (b,), for a projection those of each image's class."""
        if self.recipe.conditioning == "projection":
            return tf.gather(judged["by_class"], tf.cast(labels, tf.int32), axis=1, batch_dims=1)
        return judged["realness"]

    def _update_discriminator(
        self, batch: dict[str, tf.Tensor], fake: tf.Tensor, asked: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        count, how = tf.shape(fake)[0], self.recipe.conditioning
        labelled = [batch["labelled"]] if how == "auxiliary" else []
        with tf.GradientTape() as tape:
            judged = self.discriminator(tf.concat([batch["real"], fake, *labelled], 0), training=True)
            first = {name: output[:count] for name, output in judged.items()}
            second = {name: output[count : 2 * count] for name, output in judged.items()}
            real, generated = self._realness(first, batch.get("labels")), self._realness(second, asked)
            loss = tf.reduce_mean(realness_loss(real, self.recipe.real_target))
            loss += tf.reduce_mean(realness_loss(generated, 0))
            by_class = tf.constant(0.0)
            if how != "none":
                known = judged["classes"][2 * count :] if how == "auxiliary" else first["classes"]
                by_class = tf.reduce_mean(class_loss(known, batch["labels"]))
            total = loss + by_class
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(total, variables), variables)
        return {
            "discriminator_loss": loss,
            "class_loss": by_class,
            "d_real": tf.reduce_mean(tf.sigmoid(real)),
            "d_fake": tf.reduce_mean(tf.sigmoid(generated)),
        }
