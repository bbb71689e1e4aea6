"""A detector on disk and in memory: a discriminator, fitted detectors, and what explains them. A bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.anomaly.detectors import check_layout
from semisynth.anomaly.features import NearestNeighboursDetector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.pixelwise import PcaDetector
from semisynth.anomaly.suite import Suite, from_arrays
from semisynth.data.imageset import read_archive
from semisynth.data.pixels import from_unit
from semisynth.errors import SemisynthError
from semisynth.files import sha256_of
from semisynth.synthesizers.judging import discriminator_of
from semisynth.synthesizers.recipe import Source
from semisynth.training.bundle import (
    LEAST_SIDE,
    MANIFEST,
    MOST_SIDE,
    bounded,
    load_bundle,
    load_weights,
    save_bundle,
    save_weights,
    setting,
)
from semisynth.training.inference import FixedBatch
from semisynth.training.precision import Precision, dtype_policy

KIND = "detector"
BATCH_SIZE = 500
PREPROCESSING = {"images": "grey uint8, 0 = background", "network": "x / 127.5 - 1", "detectors": "x / 255"}
EXPLAINING = ("features_knn", "pca")  # detectors that `nearest_ids` and `restored` need


@dataclass(frozen=True)
class References:
    """Normal images that stand for the rest: uint8 (m, side, side), with an id each."""

    images: NDArray[np.uint8]
    ids: NDArray[np.str_]


@dataclass(frozen=True)
class DetectorModel:
    """Everything that scoring needs. `precision`: the arithmetic of the network, in which it was calibrated."""

    recipe: Source
    discriminator: keras.Model
    side: int
    class_names: tuple[str, ...]
    precision: Precision
    suite: Suite
    references: References

    @cached_property
    def _network(self) -> FixedBatch:
        return FixedBatch(lambda batch: self.discriminator(batch, training=False), BATCH_SIZE)

    @cached_property
    def _network_without_realness(self) -> FixedBatch:
        def outputs(batch: tf.Tensor) -> dict[str, tf.Tensor]:
            told = self.discriminator(batch, training=False)
            return {name: value for name, value in told.items() if name != "realness"}

        return FixedBatch(outputs, BATCH_SIZE)

    def judge(self, images: NDArray[np.uint8], *, realness: bool = True) -> Judged:
        """One pass of the network over images uint8 (n, side, side), in padded batches of one shape.

        Without `realness` TensorFlow prunes what it alone needs: in `semi_acgan` the critic, a third of the work.
        """
        network = self._network if realness else self._network_without_realness
        starts = range(0, max(len(images), 1), BATCH_SIZE)
        parts = [network(images[start : start + BATCH_SIZE]) for start in starts]
        return Judged.of(images, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def nearest_ids(self, judged: Judged) -> NDArray[np.str_]:
        """The id of the reference image whose features are nearest to each: unicode (n,)."""
        neighbours = self.suite.detectors["features_knn"]
        assert isinstance(neighbours, NearestNeighboursDetector)
        return self.references.ids[neighbours.nearest(judged)]

    def restored(self, judged: Judged) -> NDArray[np.uint8]:
        """What the principal components of normal images give back: uint8 (n, side, side)."""
        components = self.suite.detectors["pca"]
        assert isinstance(components, PcaDetector)
        return from_unit(components.restored(judged).reshape(-1, self.side, self.side))

    def save(self, folder: Path) -> None:
        """Save as a bundle under `folder`, whole or not at all."""

        def write(inside: Path) -> None:
            save_weights(inside / "discriminator.npz", self.discriminator)
            np.savez(inside / "detectors.npz", **self.suite.arrays())  # type: ignore[arg-type]
            np.savez(inside / "references.npz", images=self.references.images, ids=self.references.ids)

        settings = {
            "recipe": self.recipe,
            "side": self.side,
            "class_names": list(self.class_names),
            "precision": self.precision,
            "preprocessing": PREPROCESSING,
            "detectors": self.suite.parameters(),
        }
        save_bundle(folder, KIND, settings, write)


def load_detector(folder: Path) -> DetectorModel:
    """Rebuild the network from code and read checked arrays; SemisynthError if the bundle is damaged."""
    bundle = load_bundle(folder, KIND)
    recipe, side = setting(bundle, "recipe", str, dict), bounded(bundle, "side", LEAST_SIDE, MOST_SIDE)
    names, precision = setting(bundle, "class_names", list), setting(bundle, "precision", str)
    if precision not in ("float32", "bfloat16"):
        raise SemisynthError(f"{folder}: precision float32 or bfloat16 expected, received {precision!r}")
    if (prepared := setting(bundle, "preprocessing", dict)) != PREPROCESSING:
        raise SemisynthError(f"{folder}: preprocessing {PREPROCESSING} expected, received {prepared}")
    try:
        network = discriminator_of(recipe, side, len(names), dtype_policy(precision))
    except SemisynthError as error:
        raise SemisynthError(f"{folder}: made by a recipe that this version does not know: {error}") from error
    with _file_named(bundle.file("discriminator.npz")) as path:
        load_weights(path, network)
    sizes = {name: output.shape[-1] or 1 for name, output in network.output.items()}  # `realness` is (None,)
    sizes |= {"side": side, "pixels": side**2, "halved": (side // 2) ** 2}
    with _file_named(bundle.file("detectors.npz")) as path:
        suite = from_arrays(read_archive(path), setting(bundle, "detectors", dict))
        suite.check(sizes)
        for name in EXPLAINING:
            if name not in suite.detectors:
                raise KeyError(f"calibration.{name}")
    with _file_named(bundle.file("references.npz")) as path:
        kept, count = read_archive(path), len(suite.detectors["features_knn"].arrays["chosen"])
        check_layout(kept, {"images": "uint8 m side side", "ids": "str m"}, sizes | {"m": count})
        references = References(kept["images"], kept["ids"])
    return DetectorModel(recipe, network, side, tuple(map(str, names)), precision, suite, references)


@contextmanager
def _file_named(path: Path) -> Iterator[Path]:
    """Turn what is wrong with arrays of the file at `path` into a SemisynthError that names it."""
    try:
        yield path
    except KeyError as error:
        raise SemisynthError(f"{path}: array {error} expected, found none") from error
    except ValueError as error:
        raise SemisynthError(f"{path}: {error}") from error


def digest_of(folder: Path) -> str:
    """SHA-256 of the bundle's manifest, which holds those of all its files."""
    path = folder / MANIFEST
    if not path.is_file():
        raise SemisynthError(f"{path}: no such file; expected a detector (`dvc repro fit_detector`)")
    return sha256_of(path)
