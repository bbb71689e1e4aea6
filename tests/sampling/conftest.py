import functools
from dataclasses import replace

import pytest

from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.model import build_synthesizer
from semisynth.synthesizers.variational import build_variational
from semisynth.training.determinism import seed_everything

SIDE = 20
NAMES = ("coat", "dress/skirt", "shirt")


@pytest.fixture(scope="session")
def synthesizer():
    """Builds a recipe with fresh weights; three classes with names."""

    @functools.cache
    def build(name="semi_acgan"):
        seed_everything(0)
        if name in ("vae", "cvae"):
            return build_variational(name, SIDE, len(NAMES), latent_size=2).named(NAMES)
        return replace(build_synthesizer(recipe_by_name(name), SIDE, len(NAMES)), class_names=NAMES)

    return build


@pytest.fixture(scope="session")
def bundle(synthesizer, tmp_path_factory):
    """The folder of a saved synthesizer."""

    @functools.cache
    def save(name="semi_acgan"):
        folder = tmp_path_factory.mktemp("models") / name
        synthesizer(name).save(folder)
        return folder

    return save


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """A block of 4 images, pieces of 2 blocks, and 20 latents to start from, since these tests draw few."""
    monkeypatch.setattr("semisynth.sampling.style.CANDIDATES", 20)
    monkeypatch.setattr("semisynth.sampling.samples.BLOCK", 4)
    monkeypatch.setattr("semisynth.sampling.samples.PIECE", 2)
