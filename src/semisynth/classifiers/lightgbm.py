"""Gradient-boosted trees: Ke et al., "LightGBM" (NeurIPS 2017), on raw pixels."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from semisynth.classifiers.base import (
    KIND,
    Positive,
    PositiveFloat,
    Settings,
    check_images,
    check_training,
    settings_of,
)
from semisynth.data.pixels import flat
from semisynth.errors import SemisynthError
from semisynth.files import write_text
from semisynth.training.bundle import Bundle, save_bundle
from semisynth.training.progress import track

MODEL_FILE = "model.txt"
THREADS = 1  # more of them wait for each other in busy loops: beside other work that takes ten times as long


class LightgbmSettings(Settings):
    """Names and meaning as in LightGBM."""

    name: Literal["lightgbm"] = "lightgbm"
    num_iterations: Positive
    learning_rate: PositiveFloat
    num_leaves: Annotated[int, Field(ge=2)]
    min_data_in_leaf: Positive
    feature_fraction: Annotated[float, Field(gt=0, le=1)]
    max_bin: Annotated[int, Field(ge=2, le=65535)]


class LightgbmClassifier:
    """A tree for each class and iteration. A class that training lacked keeps a column, of almost 0."""

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
        parameters = self._parameters()
        booster = lightgbm.Booster(parameters, lightgbm.Dataset(flat(images), labels, params=parameters))
        rounds = self.settings.num_iterations
        for _ in track(range(rounds), "LightGBM", rounds):
            if booster.update():  # no leaf can be split any further
                break
        self._booster = booster
        return self

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Classifier.predict_proba`."""
        check_images(images, self.settings)
        return np.asarray(self._fitted().predict(flat(images), num_threads=THREADS), np.float32)

    def save(self, folder: Path) -> None:
        """See `Classifier.save`; the model is LightGBM's text."""
        booster = self._fitted()
        text = booster.model_to_string()  # LightGBM's own writer hides a full disk behind an error of its own
        save_bundle(folder, KIND, self.settings.model_dump(), lambda part: write_text(part / MODEL_FILE, text))

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Rebuild from a checked bundle; SemisynthError where the model doesn't match the settings."""
        settings = settings_of(bundle, LightgbmSettings)
        path = bundle.file(MODEL_FILE)
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
        """Put the settings in LightGBM's words; a fixed order of sums gives the same trees again."""
        fixed = {"objective": "multiclass", "num_class": self.settings.classes, "verbose": -1}
        reproducible = {"deterministic": True, "force_col_wise": True, "num_threads": THREADS}
        chosen = self.settings.model_dump(exclude={"name", "side", "classes"})
        return {**fixed, **reproducible, **chosen}

    def _fitted(self) -> lightgbm.Booster:
        if self._booster is None:
            raise SemisynthError("lightgbm: call `fit` before `predict_proba` or `save`")
        return self._booster
