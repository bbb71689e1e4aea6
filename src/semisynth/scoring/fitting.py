"""From a synthesizer and normal images to a calibrated detector."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semisynth.anomaly.features import NearestNeighboursDetector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.restoring import Autoencoder
from semisynth.anomaly.suite import MEMBERS, Suite, fit_suite
from semisynth.scoring.model import DetectorModel, References
from semisynth.synthesizers.judging import discriminator_of
from semisynth.synthesizers.model import Synthesizer
from semisynth.synthesizers.sampler import Sampler
from semisynth.training.precision import Precision, dtype_policy


def fit_detector_model(
    synthesizer: Sampler,
    normal: NDArray[np.uint8],
    ids: Sequence[str],
    calibration: NDArray[np.uint8],
    class_names: Sequence[str],
    *,
    generated: int = 500,
    autoencoder: Autoencoder | None = None,
    references: int = 2000,
    precision: Precision = "float32",
    members: Mapping[str, float] = MEMBERS,
    seed: int,
) -> DetectorModel:
    """Fit all detectors on `normal` images uint8 (n, side, side) with an id each, in random order.

    The last fifth of them, 2,000 at most, sets the common scale of the ensemble's members. The p-values rest on
    the `calibration` images, on which neither the discriminator nor a detector was trained. No label is used.
    A recipe without a discriminator gets the detectors that need none, which look at pixels.
    `members`: of the ensemble, with their weights.
    """
    held_out = max(1, min(2000, len(normal) // 5))
    recipe, side, classes = synthesizer.recipe, synthesizer.side, synthesizer.classes
    source = recipe.source or recipe.name
    network = discriminator_of(source, side, classes, dtype_policy(precision))
    if isinstance(synthesizer, Synthesizer):
        network.set_weights(synthesizer.discriminator.get_weights())
    nothing = References(normal[:0], np.array([], str))
    bare = DetectorModel(source, network, side, tuple(class_names), precision, Suite({}, {}, {}, {}), nothing)
    judged = bare.judge(normal)
    fitted = judged.take(np.arange(len(normal) - held_out))
    suite = fit_suite(
        fitted,
        judged.take(np.arange(len(normal) - held_out, len(normal))),
        bare.judge(calibration),
        generated=synthesizer.sample(np.arange(generated) % classes, seed=seed) if generated else None,
        autoencoder=autoencoder,
        references=references,
        random_state=seed,
        members=members,
    )
    return DetectorModel(
        source, network, side, tuple(class_names), precision, suite, _references(suite, fitted, ids)
    )


def _references(suite: Suite, fitted: Judged, ids: Sequence[str]) -> References:
    neighbours = suite.detectors["features_knn"]
    assert isinstance(neighbours, NearestNeighboursDetector)
    chosen = neighbours.arrays["chosen"]
    return References(fitted.images[chosen], np.array(ids)[chosen])
