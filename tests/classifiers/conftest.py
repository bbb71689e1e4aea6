from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from semisynth.classifiers.base import Classifier
from semisynth.classifiers.registry import build_classifier

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]

SETTINGS: Mapping[str, Any] = {
    "cnn": {
        "network": "normalised_cnn",
        "network_of_many": "wide_cnn",
        "many_labels": 30000,
        "max_steps": 30,
        "max_passes": 9.0,
        "labelled_passes": 1.0,
        "batch_size": 16,
        "learning_rate": 0.002,
        "precision": "float32",
    },
    "lightgbm": {
        "num_iterations": 10,
        "learning_rate": 0.2,
        "num_leaves": 7,
        "min_data_in_leaf": 3,
        "feature_fraction": 0.3,
        "max_bin": 31,
    },
    "svm": {"C": 5.0, "gamma": "scale", "max_images": 5000},
    "logistic": {"C": 1.0, "max_iter": 50},
}


@pytest.fixture(scope="session")
def digits() -> Labelled:
    """scikit-learn's digits, uint8 (1797, 16, 16)."""
    data = load_digits()
    images = np.kron(np.minimum(data.images * 16, 255).astype(np.uint8), np.ones((2, 2), np.uint8))
    return images, data.target.astype(np.int64)


@pytest.fixture(scope="session")
def make():
    """Build a small classifier for images of 16 x 16 pixels."""

    def build(name: str, *, seed: int = 0, classes: int = 10, labelled: int = 0, **changes: Any) -> Classifier:
        settings = {**SETTINGS, name: {**SETTINGS[name], **changes}}
        size = {"side": 16, "classes": classes, "pool": 1000, "labelled": labelled}
        return build_classifier(name, settings=settings, seed=seed, **size)

    return build
