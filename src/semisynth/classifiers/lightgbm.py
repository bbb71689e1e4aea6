"""Gradient-boosted trees: Ke et al., "LightGBM" (NeurIPS 2017), on raw pixels."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from semisynth.classifiers.base import KIND, Positive, PositiveFloat, Settings, check_images, check_training
from semisynth.classifiers.base import settings_of
from semisynth.data.pixels import flat
from semisynth.errors import SemisynthError
from semisynth.training.bundle import Bundle, save_bundle
from semisynth.training.progress import track

MODEL_FILE = "model.txt"


class LightgbmSettings(Settings):
    """Names and meaning as in LightGBM."""

    name: Literal["lightgbm"] = "lightgbm"
    num_iterations: Positive
    learning_rate: PositiveFloat
    num_leaves: Annotated[int, Field(ge=2)]
    min_data_in_leaf: Positive
    feature_fraction: Annotated[float, Field(gt=0, le=1)]


class LightgbmClassifier:
    """A tree for each class and iteration. A class that training lacked keeps a column of near-zero probability."""

    def __init__(self, settings: LightgbmSettings, booster: lightgbm.Booster | None = None) -> None:
        self.settings, self._booster = settings, booster

    @property
    def name(self) -> str:
        """`lightgbm`."""
        return self.settings.name

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.settings.classes

    def fit(self, images: NDArray[np.uint8], labels: NDArray[np.int64], *, resume: Path | None = None) -> Self:
        """See `Classifier.fit`; `resume` is not used."""
        check_training(images, labels, self.settings)
        data = lightgbm.Dataset(flat(images), labels, free_raw_data=True)
        booster = lightgbm.Booster(self._parameters(), data)
        rounds = self.settings.num_iterations
        for _ in track(range(rounds), "LightGBM", rounds):
            if booster.update():  # no leaf can be split any further
                break
        self._booster = booster
        return self

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Classifier.predict_proba`."""
        check_images(images, self.settings)
        return np.asarray(self._fitted().predict(flat(images)), np.float32)

    def save(self, folder: Path) -> None:
        """See `Classifier.save`; the model is LightGBM's text."""
        booster = self._fitted()
        save_bundle(folder, KIND, self.settings.model_dump(), lambda part: booster.save_model(part / MODEL_FILE))

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Rebuild from a checked bundle; SemisynthError where the model doesn't match the settings."""
        settings = settings_of(bundle, LightgbmSettings)
        path = bundle.folder / MODEL_FILE
        try:
            booster = lightgbm.Booster(model_file=path)
        except (lightgbm.basic.LightGBMError, OSError, UnicodeDecodeError) as error:
            raise SemisynthError(f"{path}: not a LightGBM text model ({error})") from error
        expected = (settings.classes, settings.side**2)
        received = (booster.num_model_per_iteration(), booster.num_feature())
        if received != expected:
            raise SemisynthError(f"{path}: (classes, features) {expected} expected, received {received}")
        return cls(settings, booster)

    def _parameters(self) -> dict[str, Any]:
        """Deterministic sums by rows: the trees don't depend on the number of threads."""
        fixed = {"objective": "multiclass", "num_class": self.settings.classes, "verbose": -1}
        reproducible = {"deterministic": True, "force_row_wise": True, "seed": self.settings.seed}
        return {**fixed, **reproducible, **self.settings.model_dump(exclude={"name", "side", "classes", "seed"})}

    def _fitted(self) -> lightgbm.Booster:
        if self._booster is None:
            raise SemisynthError("lightgbm: call `fit` before `predict_proba` or `save`")
        return self._booster
