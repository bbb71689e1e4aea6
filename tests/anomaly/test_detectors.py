import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from semisynth.anomaly.detectors import ClassLogSumExpDetector, ConfidenceDetector, DiscriminatorDetector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.metrics import auroc
from semisynth.anomaly.pixelwise import ReconstructionDetector
from semisynth.anomaly.suite import DETECTORS


def built(name, normal):
    if name == "reconstruction":
        return ReconstructionDetector(normal(7).images, random_state=0)
    return DETECTORS[name](random_state=0)


@pytest.mark.parametrize("name", DETECTORS)
def test_planted_outliers_score_higher_than_normal_images(name, normal, outliers, joined):
    detector = built(name, normal).fit(normal(0))
    scores = detector.score_samples(joined(normal(1, 200), outliers(2)))
    assert (scores.shape, scores.dtype) == ((240,), np.float64)
    assert np.isfinite(scores).all()
    assert auroc(np.arange(240) >= 200, scores) > 0.99


@pytest.mark.parametrize("name", DETECTORS)
def test_scores_vary_and_equal_random_states_give_equal_scores(name, normal):
    scores = built(name, normal).fit(normal(0)).score_samples(normal(1, 200))
    assert len(np.unique(scores)) > 100
    assert np.array_equal(scores, built(name, normal).fit(normal(0)).score_samples(normal(1, 200)))


@pytest.mark.parametrize("name", sorted(set(DETECTORS) - {"discriminator", "class_logsumexp", "confidence"}))
def test_scoring_before_fitting_is_refused(name, normal):
    with pytest.raises(NotFittedError, match="call `fit` before"):
        built(name, normal).score_samples(normal(1, 5))
    with pytest.raises(NotFittedError):
        check_is_fitted(built(name, normal))


@pytest.mark.parametrize("name", DETECTORS)
def test_clones_share_parameters_and_learn_afresh(name, normal):
    detector = built(name, normal).set_params(random_state=3).fit(normal(0))
    copy = clone(detector)
    assert copy.get_params().keys() == detector.get_params().keys()
    assert (copy.random_state, copy.arrays) == (3, {})
    rows = normal(1, 50)
    assert np.array_equal(copy.fit(normal(0)).score_samples(rows), detector.score_samples(rows))
    check_is_fitted(copy)


def test_a_detector_ends_a_pipeline(normal):
    pipeline = make_pipeline("passthrough", DETECTORS["pca"]()).fit(normal(0))
    rows = normal(1, 50)
    assert np.array_equal(pipeline.score_samples(rows), DETECTORS["pca"]().fit(normal(0)).score_samples(rows))


def judged(logits):
    count = len(logits)
    return Judged(np.zeros((count, 4, 4), np.uint8), np.arange(count), np.zeros((count, 2)), np.array(logits))


def test_heads_by_hand():
    some = judged([[0.0, 0.0], [1000.0, 0.0]])
    assert DiscriminatorDetector().fit(some).score_samples(some).tolist() == [0, -1]
    assert ClassLogSumExpDetector().score_samples(some) == pytest.approx([-np.log(2), -1000])
    assert ConfidenceDetector().score_samples(some) == pytest.approx([0.5, 0])


def test_confidence_tells_apart_what_rounds_to_one():
    scores = ConfidenceDetector().score_samples(judged([[40.0, 0.0], [50.0, 0.0]]))
    assert 0 < scores[1] < scores[0] < 1e-16
