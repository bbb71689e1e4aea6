"""Multinomial logistic regression on raw pixels."""

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from semisynth.classifiers.base import Positive, PositiveFloat, Settings
from semisynth.classifiers.scikit import Rows, ScikitClassifier

TOLERANCE = 0.001  # scikit-learn's own, 0.0001, takes three times as long for the same accuracy


class LogisticSettings(Settings):
    """Names as in scikit-learn."""

    name: Literal["logistic"] = "logistic"
    C: PositiveFloat
    max_iter: Positive


class LogisticClassifier(ScikitClassifier[LogisticSettings]):
    """Its iterations are a budget, the same on every arm: a fit may end before the optimum."""

    settings_type, model_type = LogisticSettings, LogisticRegression

    def _fit(self, rows: Rows, labels: NDArray[np.int64]) -> None:
        model = LogisticRegression(C=self.settings.C, max_iter=self.settings.max_iter, tol=TOLERANCE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model = model.fit(rows, labels)

    def _probabilities(self, rows: Rows) -> Rows:
        return np.asarray(self._fitted().predict_proba(rows), np.float32)
