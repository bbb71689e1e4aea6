"""What the classifiers of scikit-learn share: raw pixels as features, and bundles by skops, never unpickled."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from semisynth.classifiers.archives import load_model, save_model
from semisynth.classifiers.base import KIND, Settings, check_images, check_training, settings_of, spread_columns
from semisynth.data.pixels import flat
from semisynth.errors import SemisynthError
from semisynth.training.bundle import Bundle, save_bundle

MODEL_FILE = "model.skops"

OwnSettings = TypeVar("OwnSettings", bound=Settings)
Rows = NDArray[np.float32]


class ScikitClassifier(ABC, Generic[OwnSettings]):
    """An estimator that knows the classes it was trained on; the others get probability 0."""

    settings_type: ClassVar[type[Settings]]
    model_type: ClassVar[type[Any]]

    def __init__(self, settings: OwnSettings, model: Any = None) -> None:
        self.settings, self._model = settings, model

    @property
    def name(self) -> str:
        """The name in params.yaml."""
        return self.settings.name

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.settings.classes

    def fit(self, images: NDArray[np.uint8], labels: NDArray[np.int64], *, resume: Path | None = None) -> Self:
        """See `Classifier.fit`; `resume` is not used."""
        check_training(images, labels, self.settings)
        chosen = self._chosen(labels)
        if chosen is not None:
            images, labels = images[chosen], labels[chosen]  # before they take four times the memory
        self._fit(flat(images), labels)
        return self

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Classifier.predict_proba`."""
        check_images(images, self.settings)
        present = self._fitted().classes_
        return spread_columns(self._probabilities(flat(images)), present, self.classes)

    def save(self, folder: Path) -> None:
        """See `Classifier.save`."""
        model = self._fitted()
        settings = self.settings.model_dump()
        save_bundle(folder, KIND, settings, lambda part: save_model(part / MODEL_FILE, model))

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Rebuild from a checked bundle; SemisynthError where the model can't be trusted or doesn't match."""
        settings = settings_of(bundle, cls.settings_type)
        path = bundle.file(MODEL_FILE)
        model = load_model(path)
        _check_model(path, model, cls.model_type, settings)
        return cls(settings, model)  # type: ignore[arg-type]

    def _chosen(self, labels: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Indices int64 (m,) of the images to learn from, of those with `labels`; None for all."""
        return None

    @abstractmethod
    def _fit(self, rows: Rows, labels: NDArray[np.int64]) -> None:
        """Set `_model`, trained on `rows` float32 (n, pixels) in [0, 1]."""

    @abstractmethod
    def _probabilities(self, rows: Rows) -> Rows:
        """Probabilities float32 (n, k) of the k classes that occurred in training."""

    def _fitted(self) -> Any:
        if self._model is None:
            raise SemisynthError(f"{self.name}: call `fit` before `predict_proba` or `save`")
        return self._model


def _check_model(path: Path, model: object, model_type: type[Any], settings: Settings) -> None:
    if not isinstance(model, model_type):
        raise SemisynthError(f"{path}: {model_type.__name__} expected, received {type(model).__name__}")
    features = getattr(model, "n_features_in_", None)
    if features != settings.side**2:
        raise SemisynthError(f"{path}: a model of {settings.side**2} features expected, received {features}")
    present = np.asarray(getattr(model, "classes_", ()))
    if len(present) < 2 or present.dtype.kind != "i" or present.min() < 0 or present.max() >= settings.classes:
        received = present.tolist()
        raise SemisynthError(f"{path}: classes in 0 to {settings.classes - 1} expected, received {received}")
