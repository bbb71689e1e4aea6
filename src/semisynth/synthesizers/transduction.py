"""What a labeller found of the unlabelled images that it learned from: saved beside the synthesizer."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet, read_archive
from semisynth.errors import SemisynthError
from semisynth.files import replacing_file
from semisynth.training.bundle import load_bundle, save_bundle

KIND = FOLDER = "propagated"  # kind of its bundle, and the folder below the synthesizer's
FILE = "probabilities.npz"


def save_propagated(synthesizer: Path, probabilities: NDArray[np.float32]) -> None:
    """Save class probabilities float32 (n, classes) as a bundle inside the folder of a saved synthesizer."""
    save_bundle(synthesizer / FOLDER, KIND, {}, partial(_write, probabilities))


def load_propagated(synthesizer: Path, unlabelled: ImageSet) -> NDArray[np.float32]:
    """The class probabilities float32 (n, classes) of the `unlabelled` images that the synthesizer was trained on.

    SemisynthError where they are missing or damaged, or are those of another number of images or classes.
    """
    path = load_bundle(synthesizer / FOLDER, KIND).file(FILE)
    found = read_archive(path).get("probabilities")
    expected = (len(unlabelled), unlabelled.classes)
    if found is None or found.shape != expected or found.dtype != np.float32:
        received = "none" if found is None else f"{found.dtype} {found.shape}"
        raise SemisynthError(
            f"{path}: float32 probabilities {expected} expected, for the images and classes of "
            f"{unlabelled.source}, received {received}"
        )
    return found


def _write(probabilities: NDArray[np.float32], folder: Path) -> None:
    with replacing_file(folder / FILE) as temporary, temporary.open("wb") as stream:
        np.savez(stream, probabilities=probabilities)
