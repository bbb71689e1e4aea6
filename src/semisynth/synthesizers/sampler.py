"""What the stages ask of a trained generative model of any family, and the families without a discriminator."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import UNLABELLED, ImageSet
from semisynth.errors import SemisynthError
from semisynth.training.bundle import Bundle, setting


class Described(Protocol):
    """A recipe, as far as every family has one."""

    @property
    def name(self) -> str:
        """As in `train_synthesizer.recipe`."""

    @property
    def source(self) -> str | Mapping[str, Any] | None:
        """What it is made from again, where not by its name."""

    @property
    def latent_size(self) -> int:
        """Numbers in a latent."""

    @property
    def latent(self) -> Literal["normal", "uniform"]:
        """How a latent's numbers are distributed: normal, or uniform in [-1, 1]."""

    @property
    def has_latent_space(self) -> bool:
        """Whether latents that are near each other give like images."""

    @property
    def learns_labels(self) -> bool:
        """Whether a labeller of its own learns the classes from labelled and unlabelled images."""

    @property
    def ensemble(self) -> int:
        """How many trainings are pooled; where several, a latent's last component chooses among them."""


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

    @property
    def tells_classes(self) -> bool:
        """Whether its discriminator tells classes."""

    def named(self, class_names: tuple[str, ...]) -> Self:
        """The same with names for its classes, which are saved with it."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or none."""

    def sample(self, labels: NDArray[np.int64], *, seed: int) -> NDArray[np.uint8]:
        """One image a label: uint8 (n, side, side). Without classes, the labels are counted and ignored."""

    def decode(
        self, latents: NDArray[np.float32], labels: NDArray[np.int64], batch_size: int = 500
    ) -> NDArray[np.uint8]:
        """The images uint8 (n, side, side) of latents float32 (n, latent) and class indices int64 (n,)."""

    def classes_shown(self, samples: NDArray[np.uint8], asked: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The classes (n,) that the discriminator finds; else those asked for; None where neither is told."""

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
    has_latent_space: bool = True
    batch_size: ClassVar[int] = 64
    measures_nats: ClassVar[bool] = True

    @property
    def source(self) -> None:
        """None: no part of a family can be exchanged."""

    @property
    def learns_classes(self) -> bool:
        """Whether labels come in at all."""
        return self.conditional

    @property
    def latent(self) -> Literal["normal"]:
        """Standard normal."""
        return "normal"

    @property
    def learns_labels(self) -> bool:
        """Whether a labeller of its own learns the classes: there is none."""
        return False

    @property
    def ensemble(self) -> int:
        """One training."""
        return 1


FAMILIES = {
    family.name: family
    for family in (
        Family("vae", conditional=False),
        Family("cvae", conditional=True),
        Family("lstm", conditional=True, has_latent_space=False),
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

    def named(self, class_names: tuple[str, ...]) -> Self:
        """The same with names for its classes, which are saved with it."""
        return replace(self, class_names=class_names)

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


def check_labels(name: str, labelled: ImageSet) -> None:
    """Raise SemisynthError unless every image has a label: recipe `name`, or a labeller beside it, learns them."""
    if (labelled.labels == UNLABELLED).any():
        raise SemisynthError(f"recipe `{name}` learns classes: expected labels, received images without")


def check_every_class(name: str, labelled: ImageSet) -> None:
    """Raise SemisynthError unless every class has an image: recipe `name` would draw those that it never saw."""
    if missing := sorted(set(range(labelled.classes)) - set(labelled.labels.tolist())):
        names = ", ".join(labelled.class_names[label] for label in missing)
        raise SemisynthError(f"recipe `{name}` learns classes: expected images of each, received none of {names}")


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
