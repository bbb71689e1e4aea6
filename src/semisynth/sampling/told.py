"""Images by class of a recipe that draws none: those in which the labeller beside it sees the class."""

from collections.abc import Iterator

import keras
import numpy as np
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.sampling import samples
from semisynth.sampling.classes import classes_named, names_of
from semisynth.sampling.samples import Places, SampleOptions, Samples
from semisynth.synthesizers.companion import told_classes
from semisynth.synthesizers.sampler import Sampler

MOST_DRAWN = 200  # images for each that is wanted of a class, and as many blocks at least


class ToldSamples(Samples):
    """Draws images in the order of their numbers, and keeps those of each class until there are enough."""

    def __init__(self, synthesizer: Sampler, options: SampleOptions, labeller: keras.Model) -> None:
        self.synthesizer, self.options, self._labeller = synthesizer, options, labeller
        self.labels = classes_named(names_of(synthesizer), options.classes)

    @property
    def has_classes(self) -> bool:
        """True: the labeller's."""
        return True

    def places(self) -> Iterator[Places]:
        """What each piece holds."""
        for label in self.labels:
            for numbers in self._numbers():
                yield Places(np.full_like(numbers, label), numbers)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """The images uint8 (n, side, side) of each piece; SemisynthError where a class is hardly ever drawn."""
        for label in self.labels:
            source = self._of(label)
            waiting = next(source)
            for numbers in self._numbers():
                while len(waiting) < len(numbers):
                    waiting = np.concatenate([waiting, next(source)])
                yield waiting[: len(numbers)]
                waiting = waiting[len(numbers) :]

    def _numbers(self) -> Iterator[NDArray[np.int64]]:
        """Which of its class the images of each piece are, int64 (n,)."""
        size = samples.BLOCK * samples.PIECE
        for start in range(0, self.options.count, size):
            yield np.arange(start, min(start + size, self.options.count))

    def _of(self, label: int) -> Iterator[NDArray[np.uint8]]:
        """Images in which the labeller sees the class, some blocks at a time; SemisynthError after very many."""
        found, first, blocks, most = 0, 0, 1, MOST_DRAWN * max(self.options.count, samples.BLOCK)
        while first < most:
            numbers = np.arange(first, first + samples.BLOCK * blocks)
            drawn = self._drawn(Places(np.zeros_like(numbers), numbers))
            shown = drawn[told_classes(self._labeller, drawn).argmax(axis=1) == label]
            found, first = found + len(shown), first + len(numbers)
            yield shown
            blocks = min(2 * blocks, samples.PIECE)  # each call of the labeller is compiled anew
        raise SemisynthError(
            f"`--class {names_of(self.synthesizer)[label]}`: the labeller saw it in {found} of {first} images, "
            f"expected {self.options.count}; lower `--count`, or leave the class out"
        )
