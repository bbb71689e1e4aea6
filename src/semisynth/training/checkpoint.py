"""A training's whole state after an epoch, in one archive that is replaced as a whole."""

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from semisynth.data.imageset import read_archive
from semisynth.errors import SemisynthError
from semisynth.files import replacing_file

FILE = "state.npz"
History = list[dict[str, float]]


def training_state(model: keras.Model) -> list[keras.Variable]:
    """Every variable that shapes what comes next: weights, random states, and all optimizers' slots.

    A model with several optimizers lists them as `optimizers`. Unbuilt optimizers are built first: otherwise
    their slots, averaged weights among them, would be left out.
    """
    optimizers = getattr(model, "optimizers", None) or [model.optimizer]
    for optimizer in optimizers:
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
    return [*model.variables, *(variable for optimizer in optimizers for variable in optimizer.variables)]


@dataclass(frozen=True)
class Checkpoint:
    """Where one training keeps its state: a folder of its own."""

    folder: Path

    def save(self, model: keras.Model, history: History) -> None:
        """Replace the state by the present one, which belongs to the end of epoch `len(history)`."""
        arrays = {f"v{index}": variable.numpy() for index, variable in enumerate(training_state(model))}
        with replacing_file(self.folder / FILE) as temporary, temporary.open("wb") as stream:
            np.savez(stream, history=np.array(json.dumps(history)), **arrays)

    def restore(self, model: keras.Model) -> History:
        """Set the model to the saved state and return its history; [] where nothing was saved.

        Raises SemisynthError if the archive is damaged or belongs to another model.
        """
        path = self.folder / FILE
        if not path.exists():
            return []
        arrays = read_archive(path)
        history: History = json.loads(str(arrays.pop("history")))
        variables = training_state(model)
        expected = {f"v{index}": tuple(variable.shape) for index, variable in enumerate(variables)}
        if {name: value.shape for name, value in arrays.items()} != expected:
            raise SemisynthError(f"{path}: belongs to another model; delete {self.folder} to start afresh")
        for index, variable in enumerate(variables):
            variable.assign(arrays[f"v{index}"])
        return history
