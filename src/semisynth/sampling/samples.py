"""The images that a user asks of a synthesizer, drawn piece by piece."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisynth.sampling.classes import chosen_classes
from semisynth.sampling.latents import draw_latents
from semisynth.sampling.outputs import OutputFormat
from semisynth.synthesizers.sampler import Sampler
from semisynth.training.progress import track

BLOCK = 100  # images of one class that pass the network together
PIECE = 50  # blocks in memory at a time


@dataclass(frozen=True)
class SampleOptions:
    """What to draw: `count` images of each class, or in all where there are none; no `classes` stands for all."""

    classes: tuple[str, ...] = ()
    count: int = 10
    seed: int = 0
    truncation: float | None = None
    temperature: float | None = None
    format: OutputFormat | None = None
    force: bool = False


@dataclass(frozen=True)
class Places:
    """The classes int64 (n,) of n images, and which of its class each is, int64 (n,), from 0 on."""

    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]


class Samples:
    """The images that the options ask of a synthesizer, class after class in the order asked for."""

    def __init__(self, synthesizer: Sampler, options: SampleOptions) -> None:
        self.synthesizer, self.options = synthesizer, options
        self.labels = chosen_classes(synthesizer, options.classes)

    @property
    def has_classes(self) -> bool:
        """Whether the images come with a class each."""
        return self.synthesizer.has_classes

    def __len__(self) -> int:
        return len(self.labels) * self.options.count

    def places(self) -> Iterator[Places]:
        """What each piece holds."""
        for blocks in self._pieces():
            places = _places(blocks)
            asked = places.numbers < self.options.count
            yield Places(places.labels[asked], places.numbers[asked])

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Draw the images uint8 (n, side, side) of each piece.

        Every block is drawn whole: an image's place in it, and so its last bit, depends on its number alone.
        """
        total = -(-self._block_count() // PIECE)
        for blocks in track(self._pieces(), "pieces", total) if total > 1 else self._pieces():
            places = _places(blocks)
            yield self._drawn(places)[places.numbers < self.options.count]

    def _drawn(self, places: Places) -> NDArray[np.uint8]:
        recipe, seed, truncation = self.synthesizer.recipe, self.options.seed, self.options.truncation
        latents = draw_latents(recipe, places.labels, places.numbers, seed=seed, truncation=truncation)
        return self.synthesizer.decode(latents, places.labels, batch_size=BLOCK)

    def _block_count(self) -> int:
        return len(self.labels) * -(-self.options.count // BLOCK)

    def _pieces(self) -> Iterator[list[tuple[int, int]]]:
        """Class and first number of each block of a piece."""
        per_class = -(-self.options.count // BLOCK)
        for start in range(0, self._block_count(), PIECE):
            blocks = range(start, min(start + PIECE, self._block_count()))
            yield [(self.labels[block // per_class], block % per_class * BLOCK) for block in blocks]


def _places(blocks: list[tuple[int, int]]) -> Places:
    labels, firsts = np.array(blocks, np.int64).T
    return Places(np.repeat(labels, BLOCK), (firsts[:, np.newaxis] + np.arange(BLOCK)).ravel())
