"""The measuring classifier: an instrument, which may know every training label.

So nothing that trains, selects or filters may read it, or the labelled budget would be a fiction.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from semisynth.networks.classifiers import strided_cnn
from semisynth.training.batches import image_batches
from semisynth.training.determinism import seeded
from semisynth.training.fit import fit_resumable
from semisynth.training.inference import batched
from semisynth.training.optimizing import FusedAdam

LEARNING_RATE = 0.001
MOST_EPOCHS = 10  # parts of the budget, each ending in a checkpoint


@dataclass(frozen=True)
class Instrument:
    """A trained `strided_cnn`."""

    network: keras.Model

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Give what the last layer reads, float32 (n, 128), 0 or more, for images uint8 (n, side, side)."""
        layer = self.network.get_layer("features")
        return batched(keras.Model(self.network.inputs, layer.output), images)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Give the likeliest class, int64 (n,), of images uint8 (n, side, side)."""
        return np.asarray(batched(self.network, images).argmax(axis=1), np.int64)


def fit_instrument(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    classes: int,
    steps: int,
    batch_size: int,
    seed: int,
    title: str = "measuring classifier",
    resume: Path | None = None,
) -> Instrument:
    """Train on `images` uint8 (n, side, side) and `labels` int64 (n,) in 0 to classes - 1, for `steps` updates.

    Adam with a cosine schedule down to 0. Equal arguments give equal instruments on the same machine.
    `resume` and errors: see `fit_resumable`.
    """
    with seeded(seed):
        network = strided_cnn(images.shape[1], classes)
        schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(FusedAdam(schedule), loss)
    epochs = max(parts for parts in range(1, MOST_EPOCHS + 1) if steps % parts == 0)
    fit_resumable(
        network,
        lambda start: image_batches(images, labels, batch_size, seed=seed, start_step=start),
        epochs=epochs,
        steps_per_epoch=steps // epochs,
        title=title,
        resume=resume,
    )
    return Instrument(network)
