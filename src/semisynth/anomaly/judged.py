"""What detectors look at: images, and what a discriminator gives for them in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from semisynth.data.pixels import flat


@dataclass(frozen=True)
class Judged:
    """Images uint8 (n, side, side) and a discriminator's outputs for them, all float32.

    `realness` (n,), logits, larger = more like real ones, or None without a discriminator, or where nobody asked;
    `features` (n, d), the activations before the heads; `classes` (n, k), logits, or None where the discriminator
    tells no classes.
    """

    images: NDArray[np.uint8]
    realness: NDArray[np.float32] | None
    features: NDArray[np.float32]
    classes: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, images: NDArray[np.uint8], outputs: Mapping[str, NDArray[np.float32]]) -> Self:
        """`images` with the outputs by name, as `FixedBatch` and `Synthesizer.outputs` give them."""
        return cls(images, outputs.get("realness"), outputs["features"], outputs.get("classes"))

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """The images as float32 (n, side * side) in [0, 1]."""
        return flat(self.images)

    @property
    def class_count(self) -> int:
        """Number of classes that the discriminator tells; 0 where it tells none."""
        return 0 if self.classes is None else self.classes.shape[1]

    @cached_property
    def likeliest(self) -> NDArray[np.int64]:
        """The class of the largest logit, int64 (n,); 0 where the discriminator tells none."""
        if self.classes is None:
            return np.zeros(len(self), np.int64)
        return np.asarray(self.classes.argmax(axis=1), np.int64)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The softmax probability of the likeliest class, float32 (n,); 1 where the discriminator tells none."""
        if self.classes is None:
            return np.ones(len(self), np.float32)
        shifted = np.exp(self.classes - self.classes.max(axis=1, keepdims=True))
        return np.asarray(1 / shifted.sum(axis=1), np.float32)

    def take(self, rows: NDArray[np.integer]) -> "Judged":
        """Those at `rows`, in that order."""
        realness, classes = (None if one is None else one[rows] for one in (self.realness, self.classes))
        return Judged(self.images[rows], realness, self.features[rows], classes)
