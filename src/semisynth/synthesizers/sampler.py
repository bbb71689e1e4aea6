"""What the stages ask of a trained generative model of any family, and the families without a discriminator."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray


class Described(Protocol):
    """A recipe, as far as every family has one."""

    @property
    def name(self) -> str:
        """As in `train_synthesizer.recipe`."""

    @property
    def learns_labels(self) -> bool:
        """Whether a labeller of its own learns the classes from labelled and unlabelled images."""


class Sampler(Protocol):
    """A trained generative model: samples images, and is saved as a bundle of kind `synthesizer`."""

    @property
    def recipe(self) -> Described:
        """The recipe it was trained by."""

    @property
    def side(self) -> int:
        """Of its square images, in pixels."""

    @property
    def classes(self) -> int:
        """Number of classes of the images it was trained on."""

    @property
    def has_classes(self) -> bool:
        """Whether images are drawn by class."""

    def sample(self, labels: NDArray[np.int64], *, seed: int) -> NDArray[np.uint8]:
        """One image a label: uint8 (n, side, side). Without classes, the labels are counted and ignored."""

    def save(self, folder: Path) -> None:
        """Save as a bundle under `folder`, whole or not at all."""


@dataclass(frozen=True)
class Family:
    """A recipe of networks that train without a discriminator."""

    name: str
    conditional: bool
    learns_labels: ClassVar[bool] = False


FAMILIES = {
    family.name: family
    for family in (
        Family("vae", conditional=False),
        Family("cvae", conditional=True),
        Family("lstm", conditional=True),
    )
}
