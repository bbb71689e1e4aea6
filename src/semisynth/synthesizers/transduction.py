"""What a labeller found of the unlabelled images that it learned from: saved beside the synthesizer."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet, read_archive
from semisynth.data.summary import digest_of_array
from semisynth.errors import SemisynthError
from semisynth.training.bundle import load_bundle, save_bundle

KIND = FOLDER = "propagated"  # kind of its bundle, and the folder below the synthesizer's
FILE = "probabilities.npz"


def save_propagated(synthesizer: Path, unlabelled: ImageSet, probabilities: NDArray[np.float32]) -> None:
    """Save the images' class probabilities float32 (n, classes) as a bundle in the folder of a synthesizer."""
    save_bundle(synthesizer / FOLDER, KIND, _facts(unlabelled), partial(_write, probabilities))


def load_propagated(synthesizer: Path, unlabelled: ImageSet) -> NDArray[np.float32]:
    """The class probabilities float32 (n, classes) of the `unlabelled` images that the synthesizer was trained on.

    SemisynthError where they are missing or damaged, or are those of other images or classes.
    """
    bundle = load_bundle(synthesizer / FOLDER, KIND)
    if bundle.settings != _facts(unlabelled):
        raise SemisynthError(
            f"{bundle.folder}: probabilities for the images of {unlabelled.source} expected, received those of "
            "other images or classes; train the synthesizer on these first (`dvc repro`)"
        )
    probabilities: NDArray[np.float32] = read_archive(bundle.file(FILE))["probabilities"]
    return probabilities


def _facts(unlabelled: ImageSet) -> dict[str, object]:
    return {"images_sha256": digest_of_array(unlabelled.images), "classes": list(unlabelled.class_names)}


def _write(probabilities: NDArray[np.float32], folder: Path) -> None:
    np.savez(folder / FILE, probabilities=probabilities)
