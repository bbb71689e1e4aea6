"""Saved synthesizers of every family: what loads each."""

from collections.abc import Callable
from pathlib import Path

from semisynth.synthesizers.model import KIND, load_synthesizer
from semisynth.synthesizers.sampler import Sampler
from semisynth.synthesizers.sequence_sampler import load_sequences
from semisynth.synthesizers.variational import load_variational
from semisynth.training.bundle import load_bundle

LOADERS: dict[str, Callable[[Path], Sampler]] = {
    "vae": load_variational,
    "cvae": load_variational,
    "lstm": load_sequences,
}


def load_sampler(folder: Path) -> Sampler:
    """The synthesizer in `folder`, of the family that its recipe belongs to; SemisynthError if it is damaged."""
    recipe = str(load_bundle(folder, KIND).settings.get("recipe"))
    return LOADERS.get(recipe, load_synthesizer)(folder)
