"""A trained `lstm`: samples images as sequences of quantised patches, measures them. Saved and loaded as a bundle.

The class is the first token. Every later one is drawn given those before it.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.imageset import read_archive
from semisynth.errors import SemisynthError
from semisynth.files import replacing_file
from semisynth.losses import class_loss
from semisynth.networks import lstm
from semisynth.networks.dtype import Dtype
from semisynth.synthesizers.model import KIND
from semisynth.synthesizers.patches import Codebook
from semisynth.synthesizers.sampler import FAMILIES, Family
from semisynth.training.bundle import Bundle, load_bundle, load_weights, save_bundle, save_weights, setting
from semisynth.training.inference import over_rows

BATCH_SIZE = 500
CENTRES = "centres.npz"


@dataclass(frozen=True)
class Size:
    """How large the predictor is: see `networks.lstm.predictor`."""

    embedding: int = 64
    units: int = 256
    depth: int = 2


@dataclass(frozen=True)
class SequenceSampler:
    """A predictor with its averaged weights, in float32, and its codebook. Fulfils `Sampler`.

    `temperature` divides the logits where `sample` is given none. `unigram_entropy`: bits a token of the training
    images by their frequencies alone, to set `bits_per_token` against.
    """

    predictor: keras.Model
    codebook: Codebook
    side: int
    classes: int
    size: Size
    temperature: float
    unigram_entropy: float
    recipe: Family = field(default=FAMILIES[lstm.RECIPE], init=False)

    def __post_init__(self) -> None:
        _check(self.temperature)

    @property
    def has_classes(self) -> bool:
        """Whether images are drawn by class: yes."""
        return True

    def sample(
        self, labels: NDArray[np.int64], *, seed: int, temperature: float | None = None
    ) -> NDArray[np.uint8]:
        """One image a label: uint8 (n, side, side).

        At temperature 0 the likeliest token is taken each time, whatever the seed; above 1 the choice is wilder
        than the data. SemisynthError below 0.
        """
        return self.codebook.images(self.sample_tokens(labels, seed=seed, temperature=temperature))

    def sample_tokens(
        self, labels: NDArray[np.int64], *, seed: int, temperature: float | None = None
    ) -> NDArray[np.int32]:
        """The patches of `sample`, as tokens int32 (n, patches)."""
        heat = self.temperature if temperature is None else temperature
        _check(heat)
        step = tf.function(lstm.stepper(self.predictor))
        random = np.random.default_rng([seed, 1])
        starts = range(0, max(len(labels), 1), BATCH_SIZE)
        return np.concatenate(
            [self._sample_batch(step, labels[start : start + BATCH_SIZE], heat, random) for start in starts]
        )

    def _sample_batch(
        self,
        step: Callable[..., list[tf.Tensor]],
        labels: NDArray[np.int64],
        heat: float,
        random: np.random.Generator,
    ) -> NDArray[np.int32]:
        """Tokens int32 (n, patches), by the Gumbel-max trick (Maddison et al. 2014, arXiv 1411.0030)."""
        codes, count = len(self.codebook.centres), len(labels)
        last = np.pad(codes + labels, (0, BATCH_SIZE - count)).astype(np.int32)
        state = [tf.zeros((BATCH_SIZE, self.size.units)) for _ in range(2 * self.size.depth)]
        drawn = np.empty((count, lstm.patch_count(self.side, self.codebook.patch)), np.int32)
        for position in range(drawn.shape[1]):
            logits, state = step([tf.constant(last[:, np.newaxis]), state])
            noise = random.gumbel(size=(BATCH_SIZE, codes))
            last = (logits.numpy() + heat * noise).argmax(axis=1).astype(np.int32)
            drawn[:, position] = last[:count]
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

        shape = {"side": self.side, "classes": self.classes} | asdict(self.size)
        rest = {"temperature": float(self.temperature), "unigram_entropy": float(self.unigram_entropy)}
        save_bundle(folder, KIND, {"recipe": self.recipe.name} | shape | rest, write)


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
    codebook: Codebook, side: int, classes: int, size: Size, dtype: Dtype = None, **rest: float
) -> SequenceSampler:
    """An `lstm` with fresh weights; SemisynthError where patches don't fill the side."""
    lstm.patch_count(side, codebook.patch)
    predictor = lstm.predictor(len(codebook.centres), classes, **asdict(size), dtype=dtype)
    return SequenceSampler(predictor, codebook, side, classes, size, **rest)


def load_sequences(folder: Path) -> SequenceSampler:
    """Rebuild the network from code and load its checked arrays; SemisynthError if the bundle is damaged."""
    bundle = load_bundle(folder, KIND)
    size = Size(*(setting(bundle, name, int) for name in ("embedding", "units", "depth")))
    rest = {name: setting(bundle, name, float) for name in ("temperature", "unigram_entropy")}
    side, classes = setting(bundle, "side", int), setting(bundle, "classes", int)
    loaded = build_sequences(_centres(bundle), side, classes, size, **rest)
    load_weights(bundle.file("predictor.npz"), loaded.predictor)
    return loaded


def _centres(bundle: Bundle) -> Codebook:
    path = bundle.file(CENTRES)
    centres = read_archive(path).get("centres")
    if centres is None or centres.ndim != 2 or math.isqrt(centres.shape[1]) ** 2 != centres.shape[1]:
        raise SemisynthError(
            f"{path}: expected `centres` (codes, patch²), received {None if centres is None else centres.shape}"
        )
    return Codebook(centres.astype(np.float32))
