"""What the stages ask of a trained generative model of any family, and the families without a discriminator."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.training.bundle import Bundle, setting


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

    def class_probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The class head's float32 (n, classes) for images (n, side, side); ValueError where there is none."""


@dataclass(frozen=True)
class Family:
    """A recipe of networks that train without a discriminator; `latent_size` numbers make an image."""

    name: str
    conditional: bool
    latent_size: int = 0
    source: ClassVar[None] = None  # no part of a family can be exchanged
    batch_size: ClassVar[int] = 64
    learns_labels: ClassVar[bool] = False
    measures_nats: ClassVar[bool] = True


FAMILIES = {
    family.name: family
    for family in (
        Family("vae", conditional=False),
        Family("cvae", conditional=True),
        Family("lstm", conditional=True),
    )
}


@dataclass(frozen=True)
class FamilySampler:
    """What trained models of the families have in common; `class_names` may be left out."""

    recipe: Family
    side: int
    classes: int
    class_names: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def has_classes(self) -> bool:
        """Whether images are drawn by class."""
        return self.recipe.conditional

    @property
    def tells_classes(self) -> bool:
        """Whether a discriminator tells classes: there is none."""
        return False

    def class_probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """ValueError: the recipe has no class head."""
        raise ValueError(f"recipe `{self.recipe.name}` has no class head")

    def classes_shown(self, samples: NDArray[np.uint8], asked: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The classes (n,) that samples (n, side, side) were `asked` for, where they are drawn by class."""
        return asked if self.has_classes else None

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the bundle that every family has."""
        names = {"class_names": list(self.class_names)} if self.class_names else {}
        return {"recipe": self.recipe.name, "side": self.side, "classes": self.classes} | names


def class_names_in(bundle: Bundle) -> tuple[str, ...]:
    """The class names that a synthesizer was saved with, if any; SemisynthError if ill-fitting."""
    if "class_names" not in bundle.settings:
        return ()
    names, classes = tuple(map(str, setting(bundle, "class_names", list))), setting(bundle, "classes", int)
    if len(set(names)) != len(names) or len(names) != classes:
        raise SemisynthError(
            f"{bundle.folder}: {classes} class names that differ expected, received {list(names)}"
        )
    return names
