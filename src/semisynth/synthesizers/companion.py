"""The labeller of a recipe that draws no classes: saved beside the synthesizer, it tells what the images show."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.networks.labeller import labeller
from semisynth.training.bundle import load_bundle, load_weights, save_bundle, save_weights, side_and_classes
from semisynth.training.inference import batched_outputs

KIND = FOLDER = "labeller"  # kind of its bundle, and the folder below the synthesizer's
WEIGHTS_FILE = "labeller.npz"


def save_companion(synthesizer: Path, network: keras.Model, *, side: int, classes: int) -> None:
    """Save a labeller's weights as a bundle inside the folder of a saved synthesizer, whole or not at all."""
    settings = {"side": side, "classes": classes}
    write = partial(_write, network)
    save_bundle(synthesizer / FOLDER, KIND, settings, write)


def has_companion(synthesizer: Path) -> bool:
    """Whether a labeller lies in the folder of a synthesizer."""
    return (synthesizer / FOLDER).is_dir()


def load_companion(synthesizer: Path) -> keras.Model:
    """The labeller in the folder of a synthesizer; SemisynthError where it is missing or damaged."""
    bundle = load_bundle(synthesizer / FOLDER, KIND)
    network = labeller(*side_and_classes(bundle))
    load_weights(bundle.file(WEIGHTS_FILE), network)
    return network


def told_classes(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Class probabilities float32 (n, classes) of images uint8 (n, side, side) by a labeller's class head."""
    logits = batched_outputs(lambda batch: network(batch, training=False), images)["classes"]
    return np.asarray(tf.nn.softmax(logits), np.float32)


def _write(network: keras.Model, folder: Path) -> None:
    save_weights(folder / WEIGHTS_FILE, network)
