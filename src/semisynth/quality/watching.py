"""Watches each epoch's samples for mode collapse; what it measured waits beside the state of the training."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from semisynth.data.imageset import ImageSet
from semisynth.data.pixels import flat
from semisynth.files import read_json, write_json
from semisynth.quality.collapse import Diversity, collapse_warning, measure_diversity
from semisynth.training.inference import FixedBatch

SAMPLES, REFERENCES = 500, 5000

Eyes = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def eyes_of(network: keras.Model) -> Eyes:
    """What a network sees in images uint8 (n, side, side): its `features` float32 (n, d), of length 1."""
    call = FixedBatch(lambda batch: network(batch, training=False), SAMPLES)

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        starts = range(0, len(images), SAMPLES)
        seen = np.concatenate([call(images[start : start + SAMPLES])["features"] for start in starts])
        return np.asarray(seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12))

    return features


@dataclass(frozen=True)
class CollapseWatch:
    """Compares samples with `real` images by what `eyes` see, pixels or features, within each class where known.

    Where nothing tells the samples' classes, they are counted as those of the nearest of 5,000 `real` images
    (Cover and Hart 1967, doi 10.1109/TIT.1967.1053964), which have labels. They should be even, or where samples
    are not asked for by class, those counted in images `like` the data, uint8 (k, side, side).
    Trainings of `each` epochs that follow each other, an ensemble's, are watched one by one.

    A file an epoch under `folder` lets an interrupted training go on with all that was measured. Where there are
    no two different real images of a class, or more than 250 classes, nothing is measured.
    """

    real: ImageSet
    folder: Path
    seed: int
    each: int | None = None
    eyes: Eyes = flat
    like: NDArray[np.uint8] | None = None

    @cached_property
    def asked(self) -> NDArray[np.int64]:
        """The classes of the samples that `look` expects: int64 (n,), in turn."""
        return np.arange(SAMPLES) % self.real.classes

    def look(
        self, number: int, samples: NDArray[np.uint8], classes: NDArray[np.int64] | None, *, told: bool = False
    ) -> str | None:
        """A line of warning where samples have begun to look alike, or to leave classes out.

        `number` is the epoch's, from 1; `samples` are uint8 (n, side, side), `classes` those (n,) that a
        discriminator has `told`, or that they were asked for, or None.
        """
        real = self._some_real
        if len(np.unique(real.images, axis=0)) <= real.classes or 2 * real.classes > SAMPLES:
            return None
        rows = self.eyes(samples)
        labels = None if classes is None else (classes, real.labels)
        shown = classes if told and classes is not None else self._nearest.predict(rows)
        measured = measure_diversity(rows, self.eyes(real.images), labels, shown, real.classes, self._expected)
        write_json(self.folder / f"epoch_{number:04d}.json", asdict(measured))
        epochs = self._trainings()[-1]
        return None if collapse_warning(epochs[:-1]) else collapse_warning(epochs)

    @cached_property
    def _nearest(self) -> KNeighborsClassifier:
        some = self._some(REFERENCES)
        return KNeighborsClassifier(1, algorithm="brute").fit(self.eyes(some.images), some.labels)

    @cached_property
    def _expected(self) -> NDArray[np.int64] | None:
        if self.like is None:
            return None
        some = np.random.default_rng(self.seed).permutation(len(self.like))[:SAMPLES]
        return np.asarray(self._nearest.predict(self.eyes(self.like[some])), np.int64)

    @cached_property
    def _some_real(self) -> ImageSet:
        return self._some(SAMPLES)

    def _some(self, count: int) -> ImageSet:
        return self.real.take(np.random.default_rng(self.seed).permutation(len(self.real))[:count])

    def epochs(self) -> list[Diversity]:
        """What was measured so far, in order."""
        paths = sorted(self.folder.glob("epoch_*"))
        return [Diversity(**read_json(path)) for path in paths]

    def _trainings(self) -> list[list[Diversity]]:
        epochs = self.epochs()
        each = self.each or max(1, len(epochs))
        return [epochs[start : start + each] for start in range(0, len(epochs), each)]

    def summary(self) -> dict[str, object]:
        """The last epoch's diversity, None if not measured, and whether the alarm stands.

        Of several trainings it is that of the one least diverse by features, and the alarm is that of any.
        """
        trainings = self._trainings()
        last = min((epochs[-1] for epochs in trainings), key=lambda one: one.features, default=None)
        return {"diversity": last and asdict(last), "mode_collapse": any(map(collapse_warning, trainings))}
