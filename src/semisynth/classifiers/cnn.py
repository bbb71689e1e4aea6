"""A convolutional network with Adam and a learning rate that rises, then falls along a cosine."""

from pathlib import Path
from typing import Literal, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.classifiers.base import (
    KIND,
    Positive,
    PositiveFloat,
    Settings,
    check_images,
    check_training,
    settings_of,
    softmax,
)
from semisynth.errors import SemisynthError
from semisynth.networks.classifiers import book_cnn, normalised_cnn, wide_cnn
from semisynth.training.batches import image_batches
from semisynth.training.bundle import Bundle, load_weights, save_bundle, save_weights
from semisynth.training.determinism import seeded
from semisynth.training.fit import fit_resumable
from semisynth.training.inference import batched
from semisynth.training.optimizing import FusedAdam
from semisynth.training.precision import Precision, dtype_policy

WEIGHTS_FILE = "weights.npz"
MOST_EPOCHS = 20
RISE = 0.05  # of the steps, in which the learning rate rises from a twentieth

NetworkName = Literal["normalised_cnn", "wide_cnn", "book_cnn"]
_builder_of = {"normalised_cnn": normalised_cnn, "wide_cnn": wide_cnn, "book_cnn": book_cnn}


class CnnSettings(Settings):
    """`steps` updates of `batch_size` images.

    The learning rate rises to `learning_rate` over the first twentieth of them, then falls to 0 along a cosine.
    """

    name: Literal["cnn"] = "cnn"
    network: NetworkName
    steps: Positive
    batch_size: Positive
    learning_rate: PositiveFloat
    precision: Precision


class CnnClassifier:
    """A network of `semisynth.networks.classifiers`, trained by cross-entropy."""

    def __init__(self, settings: CnnSettings, network: keras.Model | None = None) -> None:
        self.settings, self._network = settings, network

    @property
    def name(self) -> str:
        """`cnn`."""
        return self.settings.name

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.settings.classes

    def fit(self, images: NDArray[np.uint8], labels: NDArray[np.int64], *, resume: Path | None = None) -> Self:
        """See `Classifier.fit`; with `resume`, bit-identical to a training that was not interrupted."""
        check_training(images, labels, self.settings)
        settings = self.settings
        with seeded(settings.seed):
            network = _compiled(settings)

        def batches(step: int) -> tf.data.Dataset:
            return image_batches(images, labels, settings.batch_size, seed=settings.seed, start_step=step)

        epochs = epochs_of(settings.steps)
        fit_resumable(
            network, batches, epochs=epochs, steps_per_epoch=settings.steps // epochs, title="CNN", resume=resume
        )
        self._network = network
        return self

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Classifier.predict_proba`."""
        check_images(images, self.settings)
        return softmax(batched(self._fitted(), images))

    def save(self, folder: Path) -> None:
        """See `Classifier.save`."""
        network = self._fitted()
        settings = self.settings.model_dump()
        save_bundle(folder, KIND, settings, lambda part: save_weights(part / WEIGHTS_FILE, network))

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Rebuild from a checked bundle; SemisynthError where the weights don't match the settings.

        Some sides give `normalised_cnn` weights of one shape, as 16 and 20.
        """
        settings = settings_of(bundle, CnnSettings)
        network = _network(settings)
        load_weights(bundle.file(WEIGHTS_FILE), network)
        return cls(settings, network)

    def _fitted(self) -> keras.Model:
        if self._network is None:
            raise SemisynthError("cnn: call `fit` before `predict_proba` or `save`")
        return self._network


def epochs_of(steps: int) -> int:
    """Into how many epochs of equal length, at most 20, `steps` updates are divided."""
    return max(count for count in range(1, MOST_EPOCHS + 1) if steps % count == 0)


def _network(settings: CnnSettings) -> keras.Model:
    return _builder_of[settings.network](settings.side, settings.classes, dtype_policy(settings.precision))


def _compiled(settings: CnnSettings) -> keras.Model:
    network = _network(settings)
    rising, most = round(RISE * settings.steps), settings.learning_rate
    rate = keras.optimizers.schedules.CosineDecay(
        most / 20, settings.steps - rising, warmup_target=most, warmup_steps=rising
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(FusedAdam(rate), loss)
    return network
