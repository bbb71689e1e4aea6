"""What classifiers have in common: the protocol, the settings of their bundles, the checks of their input."""

from pathlib import Path
from typing import Annotated, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from semisynth.errors import SemisynthError
from semisynth.training.bundle import Bundle

KIND = "classifier"

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """All that rebuilds a classifier, saved in its bundle."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    side: Annotated[int, Field(ge=1, le=256, description="height and width of an image, in pixels")]
    classes: Annotated[int, Field(ge=2, le=65536)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class Classifier(Protocol):
    """Images in, probabilities of the classes out. Equal settings and images give equal probabilities."""

    @property
    def name(self) -> str:
        """Its name in params.yaml."""

    @property
    def classes(self) -> int:
        """Number of classes, whether or not all of them occurred in training."""

    def fit(self, images: NDArray[np.uint8], labels: NDArray[np.int64], *, resume: Path | None = None) -> Self:
        """Train from scratch on `images` uint8 (n, side, side) and `labels` int64 (n,) in 0 to classes - 1.

        `resume` names a folder for the state of an interrupted training; classifiers that train within
        a minute make no use of it. Raises SemisynthError for labels or shapes that don't fit.
        """

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 (n, classes) in [0, 1], rows sum to 1, for `images` uint8 (n, side, side)."""

    def save(self, folder: Path) -> None:
        """Write a bundle of kind "classifier", whole or not at all."""


AnySettings = TypeVar("AnySettings", bound=Settings)


def settings_of(bundle: Bundle, model: type[AnySettings]) -> AnySettings:
    """Validate a bundle's settings as a `model`; SemisynthError names the folder and the first wrong setting."""
    try:
        return model.model_validate(bundle.settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SemisynthError(f"{bundle.folder}: setting `{name}`: {first['msg']}") from error


def check_training(images: NDArray[np.uint8], labels: NDArray[np.int64], settings: Settings) -> None:
    """Raise SemisynthError unless `images` and `labels` can train a classifier of `settings`."""
    check_images(images, settings)
    name = settings.name
    if labels.shape != images.shape[:1]:
        raise SemisynthError(f"{name}: labels of shape ({len(images)},) expected, received {labels.shape}")
    present = np.unique(labels)
    if len(present) < 2:
        raise SemisynthError(f"{name}: images of 2 classes or more expected, received labels {present.tolist()}")
    if present[0] < 0 or present[-1] >= settings.classes:
        highest = settings.classes - 1
        raise SemisynthError(f"{name}: labels in 0 to {highest} expected, received {present[0]} to {present[-1]}")


def check_images(images: NDArray[np.uint8], settings: Settings) -> None:
    """Raise SemisynthError unless `images` are uint8 (n, side, side) of the settings' side."""
    side = settings.side
    if images.dtype != np.uint8 or images.shape[1:] != (side, side):
        raise SemisynthError(
            f"{settings.name}: images uint8 (n, {side}, {side}) expected, received {images.dtype} {images.shape}"
        )


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probabilities float32 (n, k) of `scores` (n, k)."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def spread_columns(
    probabilities: NDArray[np.floating], present: NDArray[np.int64], classes: int
) -> NDArray[np.float32]:
    """Columns (n, k) of the k classes `present` to (n, classes); classes that training lacked get 0."""
    result = np.zeros((len(probabilities), classes), np.float32)
    result[:, present] = probabilities
    return result
