"""All detectors, fitted and calibrated together, and the ensemble of some of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.anomaly.conformal import NormalScale, fisher, p_values
from semisynth.anomaly.detectors import (
    Arrays,
    ClassLogSumExpDetector,
    ConfidenceDetector,
    Detector,
    DiscriminatorDetector,
    check_layout,
)
from semisynth.anomaly.features import (
    MahalanobisDetector,
    NearestNeighboursDetector,
    PixelNeighboursDetector,
    StrokesDetector,
)
from semisynth.anomaly.forest import IsolationForestDetector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.pixelwise import OneClassSvmDetector, PcaDetector, ReconstructionDetector
from semisynth.anomaly.restoring import Autoencoder, AutoencoderDetector
from semisynth.errors import UsageError

ENSEMBLE = "ensemble"
DETECTORS: dict[str, type[Detector]] = {
    "discriminator": DiscriminatorDetector,
    "class_logsumexp": ClassLogSumExpDetector,
    "features_mahalanobis": MahalanobisDetector,
    "features_knn": NearestNeighboursDetector,
    "strokes_mixture": StrokesDetector,
    "pixels_knn": PixelNeighboursDetector,
    "reconstruction": ReconstructionDetector,
    "isolation_forest": IsolationForestDetector,
    "pca": PcaDetector,
    "one_class_svm": OneClassSvmDetector,
    "confidence": ConfidenceDetector,
    "autoencoder": AutoencoderDetector,
}
NAMES = (ENSEMBLE, *DETECTORS)
# The ensemble's members and their weights, chosen on training images alone: one digit left out, one digit normal,
# planted anomalies. Raw realness stays out: it is the same as `class_logsumexp` with K + 1 classes, and says
# little otherwise. Neighbours between features add nothing to the distance there, and take longer. What else looks
# at pixels ranks new digits lower than these do.
MEMBERS = {"class_logsumexp": 1.0, "features_mahalanobis": 1.0, "strokes_mixture": 4.0}


@dataclass(frozen=True)
class Suite:
    """Fitted detectors by name, the members' scales and weights, and the calibration scores of each, ascending."""

    detectors: Mapping[str, Detector]
    scales: Mapping[str, NormalScale]
    weights: Mapping[str, float]
    calibration: Mapping[str, NDArray[np.float64]]

    @property
    def names(self) -> tuple[str, ...]:
        """The ensemble and all detectors that this discriminator allows."""
        return tuple(name for name in NAMES if name == ENSEMBLE or name in self.detectors)

    def scores(self, judged: Judged, names: Iterable[str]) -> dict[str, NDArray[np.float64]]:
        """Scores float64 (n,) of each of `names`, larger = more abnormal; SemisynthError on an unknown name.

        A detector that several need runs once, and one that none needs does not run.
        """
        names = list(names)
        needed = self._needed(names)
        single = {
            name: detector.score_samples(judged) for name, detector in self.detectors.items() if name in needed
        }
        if ENSEMBLE in names:
            single[ENSEMBLE] = combined(single, self.scales, self.weights)
        return {name: single[name] for name in names}

    def reads_realness(self, names: Iterable[str]) -> bool:
        """Whether `scores` of `names` need `Judged.realness`; SemisynthError on an unknown name."""
        needed = self._needed(list(names))
        return any(detector.reads_realness for name, detector in self.detectors.items() if name in needed)

    def p_values(self, name: str, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Conformal p-values float64 (n,) of the detector's scores."""
        return p_values(scores, self.calibration[name])

    def arrays(self) -> Arrays:
        """Everything that was learnt, by names that `from_arrays` reads."""
        learnt = {
            f"{name}.{key}": array
            for name, detector in self.detectors.items()
            for key, array in detector.arrays.items()
        }
        for name, scale in self.scales.items():
            learnt |= {f"scale.{name}.knots": scale.knots, f"scale.{name}.heights": scale.heights}
            learnt[f"scale.{name}.weight"] = np.array(self.weights[name], np.float64)
        return learnt | {f"calibration.{name}": scores for name, scores in self.calibration.items()}

    def parameters(self) -> dict[str, dict[str, bool | int | float | str]]:
        """The detectors' own `parameters`, by the detectors' names."""
        return {name: detector.parameters() for name, detector in self.detectors.items()}

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise ValueError or KeyError that names the array or the output of the network that a detector lacks.

        `sizes`: of the outputs, `realness` 1, `features` and `classes` as far as the network gives them, and of
        the images, `side`, `pixels`, and `halved`, the pixels at half the side.
        """
        for name, detector in self.detectors.items():
            classes = sizes.get("classes", 0)
            if detector.least_classes > classes:
                raise ValueError(
                    f"detector `{name}`: a network that tells {detector.least_classes} classes or more expected, "
                    f"received one that tells {classes}"
                )
            if detector.reads_realness and "realness" not in sizes:
                raise ValueError(f"detector `{name}`: a network that tells realness expected, received another")
            detector.check(name, sizes)

    def _needed(self, names: Sequence[str]) -> set[str]:
        """`names`, and the ensemble's members if it is one of them; SemisynthError on an unknown name."""
        for name in names:
            if name not in self.names:
                near = get_close_matches(name, self.names, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(self.names)}"
                raise UsageError(f"this model has no detector `{name}`; {hint}")
        return set(names) | (set(self.scales) if ENSEMBLE in names else set())


def from_arrays(arrays: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Suite:
    """The suite whose `arrays()` and `parameters()` these are.

    KeyError where an array is missing, ValueError where one, or a detector's parameters, can't be used.
    """
    if unknown := sorted(parameters.keys() - DETECTORS.keys()):
        raise ValueError(
            f"detector `{unknown[0]}`: one of {', '.join(DETECTORS)} expected; a model of another version must be "
            "fitted again"
        )
    names = [name for name in DETECTORS if f"calibration.{name}" in arrays]
    detectors = {name: _built(name, parameters.get(name)) for name in names}
    for name, detector in detectors.items():
        own = [key for key in arrays if key.startswith(f"{name}.")]
        detector.arrays = {key.removeprefix(f"{name}."): arrays[key] for key in own}
    scales = {name: _scale(arrays, name) for name in names if f"scale.{name}.knots" in arrays}
    if not scales:
        raise ValueError("array `scale.*.knots`: one of a member of the ensemble or more expected, found none")
    weights = {name: _weight(arrays[f"scale.{name}.weight"], name) for name in scales}
    calibration = {name: arrays[f"calibration.{name}"] for name in (ENSEMBLE, *names)}
    check_layout(calibration, dict.fromkeys(calibration, "float64 n"), {}, "calibration.")
    for name, scores in calibration.items():
        if not (scores[:-1] <= scores[1:]).all():
            raise ValueError(f"array `calibration.{name}`: scores in rising order expected")
    return Suite(detectors, scales, weights, calibration)


def _built(name: str, parameters: Any) -> Detector:
    """An unfitted detector; ValueError unless `parameters` have the names and types of its own."""
    detector = DETECTORS[name]()
    expected = detector.parameters()
    fits = isinstance(parameters, Mapping) and parameters.keys() == expected.keys()
    if not (fits and all(type(parameters[key]) is type(value) for key, value in expected.items())):
        raise ValueError(f"detector `{name}`: parameters like {expected} expected, received {parameters!r}")
    return DETECTORS[name](**parameters)


def _scale(arrays: Mapping[str, NDArray[Any]], name: str) -> NormalScale:
    knots, heights = f"scale.{name}.knots", f"scale.{name}.heights"
    check_layout(arrays, {knots: "float64 q", heights: "float64 q"}, {})
    for key in (knots, heights):
        if not (arrays[key][:-1] < arrays[key][1:]).all():
            raise ValueError(f"array `{key}`: numbers in rising order expected, none twice")
    return NormalScale(arrays[knots], arrays[heights])


def _weight(array: NDArray[Any], name: str) -> float:
    if array.shape != () or array.dtype.kind not in "fiu" or not 0 < array < np.inf:
        raise ValueError(f"array `scale.{name}.weight`: one number above 0 expected, received {array!r}")
    return float(array)


def fit_suite(
    normal: Judged,
    held_out: Judged,
    calibration: Judged,
    *,
    generated: NDArray[np.uint8] | None = None,
    autoencoder: Autoencoder | None = None,
    references: int = 2000,
    random_state: int = 0,
    members: Mapping[str, float] = MEMBERS,
) -> Suite:
    """Fit every detector that the discriminator allows on `normal` images, and calibrate it.

    `held_out` sets the members' common scale, `calibration` the p-values; the three share no image, and no
    label is used. `generated` uint8 (m, side, side) come from the generator; without them there is no
    `reconstruction`, and without its kind no `autoencoder`. `references`: normal images that `features_knn` and
    `pixels_knn` keep.
    """
    detectors = {
        name: detector.fit(normal)
        for name, kind in DETECTORS.items()
        if kind.least_classes <= normal.class_count and (normal.realness is not None or not kind.reads_realness)
        if (detector := _unfitted(kind, generated, autoencoder, references, random_state)) is not None
    }
    scales = {
        name: NormalScale.fit(detectors[name].score_samples(held_out)) for name in members if name in detectors
    }
    scores = {name: detector.score_samples(calibration) for name, detector in detectors.items()}
    weights = {name: members[name] for name in scales}
    scores[ENSEMBLE] = combined(scores, scales, weights)
    return Suite(detectors, scales, weights, {name: np.sort(values) for name, values in scores.items()})


def _unfitted(
    kind: type[Detector],
    generated: NDArray[np.uint8] | None,
    autoencoder: Autoencoder | None,
    references: int,
    random_state: int,
) -> Detector | None:
    """A detector of this kind; None where what it needs was not given."""
    if kind is ReconstructionDetector:
        return None if generated is None else ReconstructionDetector(generated, random_state=random_state)
    if kind is AutoencoderDetector:
        return None if autoencoder is None else AutoencoderDetector(autoencoder, random_state=random_state)
    if issubclass(kind, NearestNeighboursDetector):
        return kind(references=references, random_state=random_state)
    return kind(random_state=random_state)


def combined(
    scores: Mapping[str, NDArray[np.float64]], scales: Mapping[str, NormalScale], weights: Mapping[str, float]
) -> NDArray[np.float64]:
    """The ensemble's score float64 (n,): Fisher's combination of the members' scores on their common scale."""
    on_scale = np.stack([scale(scores[name]) for name, scale in scales.items()])
    return fisher(on_scale, np.array([weights[name] for name in scales]))
