"""A detector that trains a network of its own: an autoencoder, which restores best what it has seen."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Literal, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.anomaly.detectors import Arrays, Detector, check_layout
from semisynth.anomaly.judged import Judged
from semisynth.data.pixels import to_signed
from semisynth.networks import autoencoder
from semisynth.training.batches import generated, index_batches
from semisynth.training.budget import update_steps
from semisynth.training.determinism import seed_everything
from semisynth.training.fit import fit_resumable
from semisynth.training.inference import FixedBatch
from semisynth.training.optimizing import FusedAdam

Autoencoder = Literal["undercomplete", "denoising", "linear"]
BUILDERS: dict[str, Callable[[int], keras.Model]] = {
    "undercomplete": autoencoder.undercomplete,
    "denoising": lambda side: autoencoder.denoising(side, code=max(1000, side * side * 5 // 4)),
    "linear": autoencoder.linear,
}
SCORED_TOGETHER = 500  # images
BATCH_SIZE, MAX_STEPS, MAX_PASSES, RATE = 64, 3000, 60.0, 0.001


class AutoencoderDetector(Detector):
    """What an autoencoder leaves unexplained: the mean squared error of an image's reconstruction.

    Sakurada and Yairi 2014, doi 10.1145/2689746.2689747.
    """

    layout: ClassVar = {"kind": "str"}  # and the weights of its kind

    def __init__(self, kind: Autoencoder = "undercomplete", *, random_state: int = 0) -> None:
        super().__init__(random_state=random_state)
        self.kind = kind
        self._network: tuple[Arrays, FixedBatch] | None = None  # with the arrays that it was built from

    def check(self, name: str, sizes: Mapping[str, int]) -> None:
        """As every detector; the layout is that of the weights of the network that `kind` names."""
        check_layout(self.arrays, {"kind": "str"}, sizes, f"{name}.")
        kind = str(self.arrays["kind"])
        if kind not in BUILDERS:
            raise ValueError(f"array `{name}.kind`: {', '.join(BUILDERS)} expected, received {kind!r}")
        weights = BUILDERS[kind](sizes["side"]).weights
        layout = {f"w{at}": " ".join(map(str, (one.dtype, *one.shape))) for at, one in enumerate(weights)}
        check_layout(self.arrays, layout, sizes, f"{name}.")
        extra = sorted(self.arrays.keys() - layout.keys() - {"kind"})
        if extra:
            raise ValueError(f"array `{name}.{extra[0]}`: {len(layout)} weights expected, received more")

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Train on squared errors by Adam, and keep the weights."""
        seed_everything(self.random_state)
        network = BUILDERS[self.kind](normal.images.shape[1])
        network.compile(FusedAdam(RATE), "mse")
        steps = update_steps(MAX_STEPS, MAX_PASSES, len(normal), BATCH_SIZE)
        fit_resumable(
            network,
            lambda _: _batches(normal.images, self.random_state),
            epochs=1,
            steps_per_epoch=steps,
            title=f"train {self.kind} autoencoder",
        )
        weights = {f"w{index}": array for index, array in enumerate(network.get_weights())}
        self.arrays = {"kind": np.array(self.kind), **weights}
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,), 0 or more, in squared pixels of the unit range; larger = more abnormal."""
        if not len(judged):
            return np.zeros(0)
        errors = self._restored(judged.images) - to_signed(judged.images)
        return np.asarray(np.square(errors / 2).mean(axis=(1, 2, 3), dtype=np.float64))

    def _restored(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Reconstructions float32 (n, side, side, 1), by a network that is built and compiled once."""
        if self._network is None or self._network[0] is not self.arrays:
            network = BUILDERS[str(self._learnt("kind"))](images.shape[1])
            network.set_weights([self._learnt(f"w{index}") for index in range(len(self.arrays) - 1)])
            call = FixedBatch(lambda batch: {"output": network(batch, training=False)}, SCORED_TOGETHER)
            self._network = self.arrays, call
        starts = range(0, len(images), SCORED_TOGETHER)
        parts = [self._network[1](images[start : start + SCORED_TOGETHER])["output"] for start in starts]
        return np.concatenate(parts)


def _batches(images: NDArray[np.uint8], seed: int) -> tf.data.Dataset:
    """Endless pairs of equal float32 (b, side, side, 1) in [-1, 1]: what is shown, and what is to be restored."""

    def generate() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        for chosen in index_batches(len(images), BATCH_SIZE, seed=seed):
            shown = to_signed(images[chosen])
            yield shown, shown

    spec = tf.TensorSpec((BATCH_SIZE, *images.shape[1:], 1), tf.float32)
    return generated(generate, (spec, spec))
