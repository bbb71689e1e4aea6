"""How classes enter a recipe: what the generator is asked for, and what the discriminator says of classes."""

from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from semisynth.losses import class_loss

Outputs = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Conditioning:
    """Where classes come in.

    `draws_classes`: the generator takes a class (b,) beside the latent. `judges_by_class`: the discriminator gives
    realness logits `by_class` (b, k) as well. `tells_classes`: it gives logits `classes` (b, k). `labelled` says
    where labels come in: nowhere, with images `beside` the real ones, or with the real images themselves (`real`).
    """

    name: str
    draws_classes: bool = False
    judges_by_class: bool = False
    tells_classes: bool = False
    labelled: Literal["nowhere", "beside", "real"] = "nowhere"

    def realness(self, outputs: Outputs, labels: tf.Tensor | None) -> tf.Tensor:
        """Realness logits (b,), those of each image's class where it is judged by that."""
        if self.judges_by_class:
            return tf.gather(outputs["by_class"], tf.cast(labels, tf.int32), axis=1, batch_dims=1)
        return outputs["realness"]

    def class_loss(self, outputs: Outputs, labels: tf.Tensor | None) -> tf.Tensor:
        """The discriminator's class loss () on images with known classes (b,)."""
        return tf.reduce_mean(class_loss(outputs["classes"], labels)) if self.tells_classes else tf.constant(0.0)

    def asked_loss(self, outputs: Outputs, asked: tf.Tensor | None) -> tf.Tensor:
        """The generator's class loss () on images of the classes (b,) that it was asked for."""
        draws_what_is_told = self.draws_classes and self.tells_classes
        return tf.reduce_mean(class_loss(outputs["classes"], asked)) if draws_what_is_told else tf.constant(0.0)


NONE = Conditioning("none")
AUXILIARY = Conditioning("auxiliary", draws_classes=True, tells_classes=True, labelled="beside")
PROJECTION = Conditioning(
    "projection", draws_classes=True, judges_by_class=True, tells_classes=True, labelled="real"
)
CONCATENATED = Conditioning("concatenated", draws_classes=True, judges_by_class=True, labelled="real")
ONE_MORE_CLASS = Conditioning("one_more_class", tells_classes=True, labelled="beside")
