"""A trained synthesizer: samples images, and judges them. Saved and loaded as a bundle."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.pixels import from_signed
from semisynth.errors import SemisynthError
from semisynth.synthesizers.composition import recipe_from
from semisynth.synthesizers.recipe import Recipe
from semisynth.synthesizers.sampler import class_names_in
from semisynth.training.bundle import (
    load_bundle,
    load_weights,
    save_bundle,
    save_weights,
    setting,
    side_and_classes,
)
from semisynth.training.inference import batched_outputs

KIND = "synthesizer"


@dataclass(frozen=True)
class Synthesizer:
    """The two networks of a recipe with their averaged weights, in float32; `class_names` may be left out.

    Of an ensemble, the generator holds those of all members, and the discriminator is the first one's.
    """

    recipe: Recipe
    generator: keras.Model
    discriminator: keras.Model
    side: int
    classes: int
    class_names: tuple[str, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether images are drawn by class."""
        return self.recipe.conditional

    @property
    def tells_classes(self) -> bool:
        """Whether the discriminator tells classes."""
        return self.recipe.conditioning.tells_classes

    def named(self, class_names: tuple[str, ...]) -> "Synthesizer":
        """The same with names for its classes, which are saved with it."""
        return replace(self, class_names=class_names)

    def sample(self, labels: NDArray[np.int64], *, seed: int) -> NDArray[np.uint8]:
        """One image a label: uint8 (n, side, side). An unconditional recipe counts the labels and ignores them."""
        latents = self.recipe.sampled_latents(len(labels), np.random.default_rng([seed, 1]))
        return self.decode(latents, labels)

    def decode(
        self, latents: NDArray[np.float32], labels: NDArray[np.int64], batch_size: int = 500
    ) -> NDArray[np.uint8]:
        """The images uint8 (n, side, side) of latents float32 (n, latent) and class indices int64 (n,)."""
        images = np.empty((len(latents), self.side, self.side), np.uint8)
        for start in range(0, len(latents), batch_size):
            part = latents[start : start + batch_size]
            missing = batch_size - len(part)
            inputs = [tf.constant(np.pad(part, [(0, missing), (0, 0)]))]
            if self.has_classes:
                asked = labels[start : start + batch_size].astype(np.int32)
                inputs.append(tf.constant(np.pad(asked, (0, missing))))
            images[start : start + len(part)] = from_signed(self._generate(inputs).numpy()[: len(part)])
        return images

    @cached_property
    def _generate(self) -> Callable[[list[tf.Tensor]], tf.Tensor]:
        return tf.function(lambda inputs: self.generator(inputs, training=False))  # type: ignore[no-any-return]

    def realness(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The discriminator's logit float32 (n,) for images (n, side, side); larger = more like real ones."""
        return self.outputs(images)["realness"]

    def class_probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The class head's float32 (n, classes); ValueError for a recipe without one."""
        if not self.tells_classes:
            raise ValueError(f"recipe `{self.recipe.name}` has no class head")
        return tf.nn.softmax(self.outputs(images)["classes"]).numpy()  # type: ignore[no-any-return]

    def classes_shown(self, samples: NDArray[np.uint8], asked: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The classes (n,) that the discriminator finds; else those asked for; None where neither is told."""
        if self.tells_classes:
            return np.asarray(self.class_probabilities(samples).argmax(axis=1), np.int64)
        return asked if self.has_classes else None

    def outputs(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """All that the discriminator gives for images (n, side, side), float32.

        `realness` (n,), `features` (n, d), the activations before the heads, and where the recipe tells classes
        their logits `classes` (n, k).
        """
        return batched_outputs(lambda batch: self.discriminator(batch, training=False), images)

    def save(self, folder: Path) -> None:
        """Save as a bundle under `folder`, whole or not at all."""

        def write(inside: Path) -> None:
            save_weights(inside / "generator.npz", self.generator)
            save_weights(inside / "discriminator.npz", self.discriminator)

        recipe = self.recipe.source or self.recipe.name
        settings: dict[str, Any] = {"recipe": recipe, "side": self.side, "classes": self.classes}
        if self.class_names:
            settings["class_names"] = list(self.class_names)
        save_bundle(folder, KIND, settings, write)


def build_synthesizer(
    recipe: Recipe, side: int, classes: int, dtype: keras.DTypePolicy | None = None
) -> Synthesizer:
    """A synthesizer with fresh weights; SemisynthError where the recipe can't make this side."""
    return Synthesizer(
        recipe=recipe,
        generator=recipe.generator(side, classes, dtype),
        discriminator=recipe.discriminator(side, classes, dtype),
        side=side,
        classes=classes,
    )


def load_synthesizer(folder: Path) -> Synthesizer:
    """Rebuild the networks from code and load their checked weights; SemisynthError if the bundle is damaged."""
    bundle = load_bundle(folder, KIND)
    try:
        recipe = recipe_from(setting(bundle, "recipe", str, dict))
    except SemisynthError as error:
        raise SemisynthError(f"{folder}: made by a recipe that this version does not know: {error}") from error
    loaded = build_synthesizer(recipe, *side_and_classes(bundle))
    load_weights(bundle.file("generator.npz"), loaded.generator)
    load_weights(bundle.file("discriminator.npz"), loaded.discriminator)
    return replace(loaded, class_names=class_names_in(bundle))
