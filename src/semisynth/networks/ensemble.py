"""Several generators as one network, whose latents choose among them."""

from collections.abc import Sequence
from typing import Any, Literal

import keras


def pooled(members: Sequence[keras.Model], latent: Literal["normal", "uniform"]) -> keras.Model:
    """One network of generators that take latents (b, d), and those that draw classes also int32 (b,).

    Its latents (b, d + 1) have one component more: the last one, distributed as the others are, chooses the
    member. Each has an equal share of the distribution, in one piece, so that a path between two latents changes
    the member seldom. Every member draws every image, and one of them is given.
    """
    given, *classes = members[0].inputs
    latents = keras.Input((given.shape[1] + 1,), name="latent")
    asked = [keras.Input((), dtype=one.dtype, name=one.name) for one in classes]
    named = [keras.Model(one.inputs, one.output, name=f"member_{number}") for number, one in enumerate(members)]
    drawn = keras.ops.stack([member([latents[:, :-1], *asked]) for member in named], axis=1)
    choice = _Choice(len(members), latent)(latents[:, -1])  # (b, members, 1, 1, 1)
    return keras.Model([latents, *asked], keras.ops.sum(drawn * choice, axis=1), name="ensemble")


class _Choice(keras.layers.Layer):  # type: ignore[misc]
    """From numbers (b,) to 1 for the member that each chooses, and 0 for the others: (b, members, 1, 1, 1)."""

    def __init__(self, members: int, latent: Literal["normal", "uniform"], **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.members, self.latent = members, latent

    def call(self, numbers: keras.KerasTensor) -> keras.KerasTensor:
        share = (1 + (keras.ops.erf(numbers / 2**0.5) if self.latent == "normal" else numbers)) / 2
        chosen = keras.ops.clip(keras.ops.floor(share * self.members), 0, self.members - 1)
        return keras.ops.one_hot(keras.ops.cast(chosen, "int32"), self.members)[..., None, None, None]
