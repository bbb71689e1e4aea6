"""What a discriminator and a generator are trained for, and how the discriminator's slope is held."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from semisynth.losses import between, gradient_penalty, realness_loss, wasserstein_loss

Targets = tuple[float | tf.Tensor, float | tf.Tensor]


@dataclass(frozen=True)
class Loss(ABC):
    """Means over a batch, of realness logits (b,); `penalty` and `clip` hold the discriminator's slope.

    `gradient_penalty` is the weight of the penalty (Gulrajani 2017, arXiv 1704.00028), `clip` the largest
    weight of the discriminator (Arjovsky 2017, arXiv 1701.07875); 0 leaves either out.
    """

    gradient_penalty: float = 0.0
    clip: float = 0.0
    takes_targets: ClassVar[bool]
    needs_slope: ClassVar[bool]

    @abstractmethod
    def of_discriminator(self, real: tf.Tensor, fake: tf.Tensor, targets: Targets) -> tf.Tensor:
        """The loss () of both kinds; `targets` are the probabilities of being real that they are held to."""

    @abstractmethod
    def of_generator(self, fake: tf.Tensor) -> tf.Tensor:
        """The loss () of synthetic images that shall pass for real."""

    @abstractmethod
    def shown(self, logits: tf.Tensor) -> tf.Tensor:
        """What a log shows of logits (b,): (b,)."""

    def penalty(
        self, judge: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, fake: tf.Tensor, key: tf.Tensor
    ) -> tf.Tensor:
        """The weighted gradient penalty () of `judge`, images to logits, at points between both kinds (b, ...).

        How far between is uniform for each image, from `key`.
        """
        if not self.gradient_penalty:
            return tf.constant(0.0)
        share = tf.random.stateless_uniform(tf.shape(real)[:1], key)
        points = between(real, fake, share)
        with tf.GradientTape() as tape:
            tape.watch(points)
            logits = judge(points)
        return self.gradient_penalty * tf.reduce_mean(gradient_penalty(tape.gradient(logits, points)))

    def clip_weights(self, discriminator: keras.Model) -> None:
        """Bring every trained weight into ±`clip`."""
        if self.clip:
            for weight in discriminator.trainable_variables:
                weight.assign(tf.clip_by_value(weight.value, -self.clip, self.clip))


class CrossEntropy(Loss):
    """The non-saturating loss (Goodfellow 2014, arXiv 1406.2661); a log shows probabilities of being real."""

    takes_targets, needs_slope = True, False

    def of_discriminator(self, real: tf.Tensor, fake: tf.Tensor, targets: Targets) -> tf.Tensor:
        """Cross-entropy of both kinds against their targets."""
        of_real, of_fake = targets
        return tf.reduce_mean(realness_loss(real, of_real)) + tf.reduce_mean(realness_loss(fake, of_fake))

    def of_generator(self, fake: tf.Tensor) -> tf.Tensor:
        """Cross-entropy against 1."""
        return tf.reduce_mean(realness_loss(fake, 1))

    def shown(self, logits: tf.Tensor) -> tf.Tensor:
        """Probabilities."""
        return tf.sigmoid(logits)


class Wasserstein(Loss):
    """Differences of the critic's scores (Arjovsky 2017, arXiv 1701.07875), which a log shows as they are."""

    takes_targets, needs_slope = False, True

    def of_discriminator(self, real: tf.Tensor, fake: tf.Tensor, targets: Targets) -> tf.Tensor:
        """Minus the estimated distance; there are no targets."""
        return tf.reduce_mean(wasserstein_loss(real, real=True)) + tf.reduce_mean(
            wasserstein_loss(fake, real=False)
        )

    def of_generator(self, fake: tf.Tensor) -> tf.Tensor:
        """Minus the mean score."""
        return tf.reduce_mean(wasserstein_loss(fake, real=True))

    def shown(self, logits: tf.Tensor) -> tf.Tensor:
        """Scores."""
        return logits


LOSSES: dict[str, type[Loss]] = {"cross_entropy": CrossEntropy, "wasserstein": Wasserstein}
