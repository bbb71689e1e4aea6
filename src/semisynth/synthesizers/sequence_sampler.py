"""A trained `lstm`: samples images as sequences of quantised patches, measures them. Saved and loaded as a bundle.

The class is the first token. Every later one is drawn given those before it.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import ndtr, softmax

from semisynth.data.imageset import read_archive
from semisynth.errors import SemisynthError
from semisynth.files import replacing_file
from semisynth.losses import class_loss
from semisynth.networks import lstm
from semisynth.networks.dtype import Dtype
from semisynth.synthesizers.model import KIND
from semisynth.synthesizers.patches import Codebook
from semisynth.synthesizers.sampler import FAMILIES, FamilySampler, class_names_in
from semisynth.training.bundle import (
    Bundle,
    bounded,
    load_bundle,
    load_weights,
    save_bundle,
    save_weights,
    setting,
    side_and_classes,
)
from semisynth.training.inference import over_rows

CENTRES = "centres.npz"
MOST_WIDTH, MOST_DEPTH = 4096, 16  # of a predictor that is loaded


@dataclass(frozen=True)
class Size:
    """How large the predictor is: see `networks.lstm.predictor`."""

    embedding: int = 64
    units: int = 256
    depth: int = 2


@dataclass(frozen=True)
class SequenceSampler(FamilySampler):
    """A predictor with its averaged weights, in float32, and its codebook. Fulfils `Sampler`.

    `temperature` divides the logits where `sample` is given none. A latent is one standard normal number a patch:
    it decides which token is drawn.
    """

    predictor: keras.Model
    codebook: Codebook
    size: Size
    temperature: float

    def __post_init__(self) -> None:
        _check(self.temperature)

    def sample(
        self, labels: NDArray[np.int64], *, seed: int, temperature: float | None = None
    ) -> NDArray[np.uint8]:
        """One image a label: uint8 (n, side, side).

        At temperature 0 the likeliest token is taken each time, whatever the seed; above 1 the choice is wilder
        than the data. SemisynthError below 0.
        """
        latents = np.random.default_rng([seed, 1]).standard_normal(
            (len(labels), self.recipe.latent_size), np.float32
        )
        return self.decode(latents, labels, temperature=temperature)

    def decode(
        self,
        latents: NDArray[np.float32],
        labels: NDArray[np.int64],
        batch_size: int = 500,
        *,
        temperature: float | None = None,
    ) -> NDArray[np.uint8]:
        """The images uint8 (n, side, side) of latents float32 (n, patches) and class indices int64 (n,)."""
        heat = self.temperature if temperature is None else temperature
        _check(heat)
        starts = range(0, max(len(labels), 1), batch_size)
        rows = [slice(start, start + batch_size) for start in starts]
        tokens = [self._tokens(latents[part], labels[part], heat, batch_size) for part in rows]
        return self.codebook.images(np.concatenate(tokens))

    @cached_property
    def _step(self) -> Callable[..., list[tf.Tensor]]:
        return tf.function(lstm.stepper(self.predictor))  # type: ignore[no-any-return]

    def _tokens(
        self,
        latents: NDArray[np.float32],
        labels: NDArray[np.int64],
        heat: float,
        batch_size: int,
    ) -> NDArray[np.int32]:
        """Tokens int32 (n, patches) for at most `batch_size` latents and labels."""
        count, patches = latents.shape
        last = np.pad(len(self.codebook.centres) + labels, (0, batch_size - count)).astype(np.int32)
        state = [tf.zeros((batch_size, self.size.units)) for _ in range(2 * self.size.depth)]
        drawn = np.empty((count, patches), np.int32)
        for position in range(patches):
            logits, state = self._step([tf.constant(last[:, np.newaxis]), state])
            drawn[:, position] = _chosen(logits.numpy()[:count], latents[:, position], heat)
            last[:count] = drawn[:, position]
        return drawn

    def bits_per_token(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
        """Mean bits that a patch of images (n, side, side) needs, given their classes: log2 of the perplexity."""
        tokens = sequences_of(self.codebook, images, labels)
        nats = over_rows(lambda rows: nats_of(self.predictor, rows[0], training=False), [tokens])
        return float(nats.mean(dtype=np.float64) / math.log(2))

    def save(self, folder: Path) -> None:
        """Save as a bundle under `folder`, whole or not at all."""

        def write(inside: Path) -> None:
            save_weights(inside / "predictor.npz", self.predictor)
            with replacing_file(inside / CENTRES) as temporary, temporary.open("wb") as stream:
                np.savez(stream, centres=self.codebook.centres)

        rest = {**asdict(self.size), "temperature": float(self.temperature)}
        save_bundle(folder, KIND, self.settings | rest, write)


def _chosen(logits: NDArray[np.float32], latents: NDArray[np.float32], heat: float) -> NDArray[np.int64]:
    """Tokens int64 (n,): where in softmax(logits (n, codes) / heat) the normal latents (n,) fall."""
    if not heat:
        return np.asarray(logits.argmax(axis=1), np.int64)
    under_largest = (logits - logits.max(axis=1, keepdims=True)).astype(np.float64)  # finite at any heat
    ends = softmax(under_largest / heat, axis=1).cumsum(axis=1)  # (n, codes)
    places = ndtr(latents.astype(np.float64))[:, np.newaxis]
    return np.asarray((places > ends[:, :-1]).sum(axis=1), np.int64)


def _check(temperature: float) -> None:
    if not 0 <= temperature < math.inf:
        raise SemisynthError(
            f"recipe `{lstm.RECIPE}`: expected a temperature of 0 or more, received {temperature}"
        )


def nats_of(predictor: keras.Model, tokens: tf.Tensor, *, training: bool) -> tf.Tensor:
    """-log p of each patch of tokens int32 (b, 1 + patches) given all before it: (b, patches)."""
    logits, wanted = predictor(tokens[:, :-1], training=training), tokens[:, 1:]
    flat = class_loss(tf.reshape(logits, [-1, logits.shape[-1]]), tf.reshape(wanted, [-1]))
    return tf.reshape(flat, tf.shape(wanted))


def sequences_of(codebook: Codebook, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Tokens int32 (n, 1 + patches): the class, and the patches of an image."""
    classes = (len(codebook.centres) + labels[:, np.newaxis]).astype(np.int32)
    return np.concatenate([classes, codebook.tokens(images)], axis=1)


def build_sequences(
    codebook: Codebook,
    side: int,
    classes: int,
    size: Size,
    dtype: Dtype = None,
    *,
    temperature: float,
) -> SequenceSampler:
    """An `lstm` with fresh weights; SemisynthError where patches don't fill the side."""
    family = replace(FAMILIES[lstm.RECIPE], latent_size=lstm.patch_count(side, codebook.patch))
    predictor = lstm.predictor(len(codebook.centres), classes, **asdict(size), dtype=dtype)
    return SequenceSampler(family, side, classes, predictor, codebook, size, temperature)


def load_sequences(folder: Path) -> SequenceSampler:
    """Rebuild the network from code and load its checked arrays; SemisynthError if the bundle is damaged."""
    bundle = load_bundle(folder, KIND)
    embedding, units = (bounded(bundle, name, 1, MOST_WIDTH) for name in ("embedding", "units"))
    size = Size(embedding, units, bounded(bundle, "depth", 1, MOST_DEPTH))
    side, classes = side_and_classes(bundle)
    heat = setting(bundle, "temperature", float)
    loaded = build_sequences(_centres(bundle), side, classes, size, temperature=heat)
    load_weights(bundle.file("predictor.npz"), loaded.predictor)
    return replace(loaded, class_names=class_names_in(bundle))


def _centres(bundle: Bundle) -> Codebook:
    path = bundle.file(CENTRES)
    centres = read_archive(path).get("centres")
    if centres is None or centres.ndim != 2 or math.isqrt(centres.shape[1]) ** 2 != centres.shape[1]:
        raise SemisynthError(
            f"{path}: expected `centres` (codes, patch²), received {None if centres is None else centres.shape}"
        )
    return Codebook(centres.astype(np.float32))
