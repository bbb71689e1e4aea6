"""A support vector machine with radial basis functions on raw pixels, one machine for each pair of classes."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from semisynth.classifiers.base import Positive, PositiveFloat, Settings, softmax
from semisynth.classifiers.crossval import stratified_folds
from semisynth.classifiers.margins import class_scores, fitted_temperature
from semisynth.classifiers.scikit import Rows, ScikitClassifier
from semisynth.errors import SemisynthError

CALIBRATION_FOLDS, CALIBRATION_IMAGES = 3, 1000
KERNEL_CACHE = 1000  # megabytes
_DRAW = 44  # tells this module's random stream from others of the same seed


class SvmSettings(Settings):
    """Names as in scikit-learn; `temperature` is not chosen but fitted."""

    name: Literal["svm"] = "svm"
    C: PositiveFloat
    gamma: PositiveFloat | Literal["scale"]
    max_images: Positive
    temperature: PositiveFloat = 1.0


class SvmClassifier(ScikitClassifier[SvmSettings]):
    """It learns from at most `max_images` images, drawn at random, of each class one or more.

    Its time grows with their square.

    Its probabilities are a softmax of lost margins at a temperature.

    A machine has no probabilities of its own, so the temperature is fitted on held-out parts of at most
    1,000 training images; it stays 1 where a class has a single image.
    """

    settings_type, model_type = SvmSettings, SVC

    def _chosen(self, labels: NDArray[np.int64]) -> NDArray[np.int64] | None:
        return self._drawn(labels) if len(labels) > self.settings.max_images else None

    def _fit(self, rows: Rows, labels: NDArray[np.int64]) -> None:
        self.settings = self.settings.model_copy(update={"temperature": self._temperature(rows, labels)})
        self._model = self._machine(rows, labels)

    def _drawn(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """`max_images` rows, sorted: the first of a random order, but at least one of each class."""
        order = np.random.default_rng([self.settings.seed, _DRAW]).permutation(len(labels))
        classes, firsts = np.unique(labels[order], return_index=True)
        if len(classes) > self.settings.max_images:
            raise SemisynthError(
                f"`train_baseline.svm.max_images`: expected at least one for each of {len(classes)} classes, "
                f"received {self.settings.max_images}"
            )
        others = np.setdiff1d(np.arange(len(order)), firsts)[: self.settings.max_images - len(classes)]
        return np.sort(order[np.concatenate([firsts, others])])

    def _probabilities(self, rows: Rows) -> Rows:
        return softmax(class_scores(self._fitted(), rows) / self.settings.temperature)

    def _machine(self, rows: Rows, labels: NDArray[np.int64]) -> SVC:
        gamma = self.settings.gamma
        if gamma == "scale":  # as scikit-learn has it, but kept as a number
            gamma = 1 / (rows.shape[1] * (float(rows.var()) or 1.0))
        return SVC(C=self.settings.C, gamma=gamma, cache_size=KERNEL_CACHE).fit(rows, labels)

    def _temperature(self, rows: Rows, labels: NDArray[np.int64]) -> float:
        seed = self.settings.seed
        folds = stratified_folds(labels, folds=CALIBRATION_FOLDS, most_images=CALIBRATION_IMAGES, seed=seed)
        if not folds:
            return 1.0
        scores = [class_scores(self._machine(rows[train], labels[train]), rows[held]) for train, held in folds]
        truth = np.concatenate([labels[held] for _, held in folds])
        return fitted_temperature(np.concatenate(scores), np.unique(truth, return_inverse=True)[1])
