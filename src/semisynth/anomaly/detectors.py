"""Detectors in scikit-learn's form, but for the direction: here a LARGER score is MORE ABNORMAL.

`sklearn.ensemble.IsolationForest.score_samples` and the discriminator's logit run the other way, and are negated.
Scores of different detectors have different units: compare rankings, not values, or calibrate (`conformal`).
This module holds what they share, and those that read the discriminator's heads.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from semisynth.anomaly.judged import Judged
from semisynth.anomaly.products import factor, product

Arrays = dict[str, NDArray[Any]]


class Detector(BaseEstimator, ABC):  # type: ignore[misc]
    """Fitted on normal images, scores any; no label is used. All that it learns stands in `arrays`.

    An estimator of scikit-learn: `clone`, `get_params` and `set_params` know its parameters by the constructor.

    `layout`: dtype and shape of what it learns, as `check_layout` reads it.
    `least_classes`: how many classes the discriminator must tell for this detector to say anything.
    `reads_realness`: whether it looks at `Judged.realness`, for which a discriminator is needed, or a part of one.
    """

    layout: ClassVar[Mapping[str, str]] = {}
    least_classes: ClassVar[int] = 0
    reads_realness: ClassVar[bool] = False

    def __init__(self, *, random_state: int = 0) -> None:
        self.random_state = random_state
        self.arrays = {}

    @property
    def arrays(self) -> Arrays:
        """All that was learnt, by name. Replaced as a whole: what is derived from it goes with it."""
        return self._arrays

    @arrays.setter
    def arrays(self, learnt: Arrays) -> None:
        self._arrays = learnt
        self._factors: dict[tuple[str, bool], tf.Tensor] = {}

    def check(self, name: str, sizes: Mapping[str, int]) -> None:
        """Raise as `check_layout` does where `arrays`, learnt by the detector called `name`, can't be used."""
        check_layout(self.arrays, self.layout, sizes, f"{name}.")

    @abstractmethod
    def fit(self, normal: Judged, y: None = None) -> Self:
        """Learn what is normal; `y` is there for scikit-learn's pipelines alone."""

    @abstractmethod
    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,); larger = more abnormal."""

    def parameters(self) -> dict[str, bool | int | float | str]:
        """Those of the constructor that a file can hold as JSON, by name: all but arrays."""
        given = self.get_params(deep=False)
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        return {name: value for name, value in plain.items() if isinstance(value, bool | int | float | str)}

    def __sklearn_is_fitted__(self) -> bool:
        """Whether all that it learns is there: what `sklearn.utils.validation.check_is_fitted` asks."""
        return self.layout.keys() <= self.arrays.keys()

    def _learnt(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise NotFittedError(f"{type(self).__name__}: call `fit` before `score_samples`")
        return self.arrays[name]

    def _times(self, left: NDArray[np.float32], name: str, *, turned: bool = False) -> NDArray[np.float32]:
        """`left` float32 (n, d) times the learnt matrix `name` (d, m), or with `turned` times its transpose."""
        if (name, turned) not in self._factors:
            matrix = self._learnt(name)
            self._factors[name, turned] = factor(matrix.T if turned else matrix)
        return product(left, self._factors[name, turned])


def check_layout(
    arrays: Mapping[str, NDArray[Any]], layout: Mapping[str, str], sizes: Mapping[str, int], prefix: str = ""
) -> None:
    """Raise ValueError where an array has another dtype or shape than `layout` says, is empty or not finite.

    A layout such as {"means": "float32 k features", "whitening": "float32 features k*features"}: `sizes` tells
    some dimensions, the others are those of the first array that has them. KeyError where an array is missing.
    """
    known = dict(sizes)
    for name, told in layout.items():
        if name not in arrays:
            raise KeyError(f"{prefix}{name}")
        array, (kind, *dimensions) = arrays[name], told.split()
        expected = [_size(one, known) for one in dimensions]
        fits = array.ndim == len(expected) and all(
            size == one or isinstance(one, str) for size, one in zip(array.shape, expected, strict=True)
        )
        if not (fits and array.size and array.dtype.type is np.dtype(kind).type and array.dtype.isnative):
            raise ValueError(
                f"array `{prefix}{name}`: {kind} ({', '.join(map(str, expected))}) expected, "
                f"received {array.dtype} {array.shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"array `{prefix}{name}`: finite numbers expected, received NaN or infinity")
        known |= zip(dimensions, array.shape, strict=True)


def _size(dimension: str, known: Mapping[str, int]) -> int | str:
    """The size of a dimension that is a number, a known name, or a product of these; else its name."""
    factors = dimension.split("*")
    if not all(one.isdigit() or one in known for one in factors):
        return dimension
    return math.prod(int(one) if one.isdigit() else known[one] for one in factors)


class _Head(Detector):
    """Reads a head of the discriminator, which has been trained already: `fit` learns nothing."""

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Return the detector as it is."""
        return self


class DiscriminatorDetector(_Head):
    """Minus the logit by which a GAN's discriminator calls an image real.

    Expect little of it where the GAN has one logit for realness: training pushes what is generated onto the
    data, so the logit says little far from both (Ngo et al. 2019, "Fence GAN", arXiv 1904.01209).
    """

    reads_realness = True

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,) of any sign; larger = more abnormal."""
        assert judged.realness is not None
        return -judged.realness.astype(np.float64)


class ClassLogSumExpDetector(_Head):
    """Minus the log-sum-exp of the class logits: Kliger and Fleishman 2018, arXiv 1802.10560.

    Where the discriminator has K + 1 classes and the logit of the last is held at 0, the log-sum-exp of the
    other K is the logit of being real (Salimans et al. 2016, arXiv 1606.03498).
    An ordinary softmax, as of the labeller in `semi_acgan`, does not see a shift of all logits: there the score is
    the free energy, which tells outliers apart in practice, but is no logit (Liu et al. 2020, arXiv 2010.03759).
    """

    least_classes = 1

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,) of any sign; larger = more abnormal."""
        assert judged.classes is not None
        logits = judged.classes.astype(np.float64)  # (n, k)
        largest = logits.max(axis=1)
        return -(largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)))  # type: ignore[no-any-return]


class ConfidenceDetector(_Head):
    """One minus the probability of the likeliest class: Hendrycks and Gimpel 2017, arXiv 1610.02136."""

    least_classes = 2

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,) in [0, 1); larger = more abnormal."""
        assert judged.classes is not None
        logits = judged.classes.astype(np.float64)
        others = np.exp(logits - logits.max(axis=1, keepdims=True))
        others[np.arange(len(others)), judged.likeliest] = 0  # 1 - p without cancellation near p = 1
        rest = others.sum(axis=1)
        return np.asarray(rest / (1 + rest), np.float64)
