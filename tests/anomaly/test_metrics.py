import numpy as np
import pytest

from semisynth.anomaly.metrics import auroc, average_precision, precision_at_k, ranking_by_kind
from semisynth.anomaly.planted import PlantedSet

ANOMALY = np.array([True, False, True, False, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.1, 0.2])


def test_values_by_hand():
    assert auroc(ANOMALY, SCORES) == pytest.approx(5 / 6)  # of 6 pairs, one is the wrong way round
    assert average_precision(ANOMALY, SCORES) == pytest.approx((1 + 2 / 3) / 2)
    assert precision_at_k(ANOMALY, SCORES, 1) == 1
    assert precision_at_k(ANOMALY, SCORES, 2) == 0.5
    assert precision_at_k(ANOMALY, SCORES, 5) == pytest.approx(0.4)


def test_larger_scores_mean_more_abnormal():
    perfect = ANOMALY.astype(float)
    for measure in (auroc, average_precision, lambda labels, scores: precision_at_k(labels, scores, 2)):
        assert measure(ANOMALY, perfect) == 1
        assert measure(ANOMALY, -perfect) < 0.5


def test_constant_scores_are_as_good_as_none():
    constant = np.zeros(5)
    assert auroc(ANOMALY, constant) == 0.5
    assert average_precision(ANOMALY, constant) == pytest.approx(0.4)
    assert precision_at_k(ANOMALY, constant, 2) == pytest.approx(0.4)


def test_precision_does_not_depend_on_the_order_of_ties():
    scores = np.array([1.0, 0.5, 0.5, 0.5, 0.0])
    # One of the two places goes to the first, an anomaly; the other to one of three, of which one is an anomaly.
    assert precision_at_k(ANOMALY, scores, 2) == pytest.approx((1 + 1 / 3) / 2)


@pytest.mark.parametrize("measure", [auroc, average_precision, lambda a, s: precision_at_k(a, s, 1)])
def test_labels_that_are_all_equal_odd_shapes_and_nan_are_refused(measure):
    for labels in (np.zeros(5, bool), np.ones(5, bool)):
        with pytest.raises(ValueError, match="expected anomalies and normal images"):
            measure(labels, SCORES)
    with pytest.raises(ValueError, match="of one shape"):
        measure(ANOMALY, SCORES[:4])
    with pytest.raises(ValueError, match="finite scores"):
        measure(ANOMALY, np.array([0.1, np.nan, 0.2, 0.3, 0.4]))


@pytest.mark.parametrize("k", [0, 6])
def test_k_outside_the_number_of_scores_is_refused(k):
    with pytest.raises(ValueError, match="expected k from 1 to 5"):
        precision_at_k(ANOMALY, SCORES, k)


def test_each_kind_is_ranked_among_all_normal_images_and_no_other_kind():
    kind = np.array([0, 0, 1, 1, -1, -1, -1, -1])
    scores = np.array([9.0, 8.0, 1.0, 0.0, 2.0, 3.0, 4.0, 5.0])
    planted = PlantedSet(np.zeros((8, 16, 16), np.uint8), kind, ("noise", "letter"))
    ranking = ranking_by_kind(planted, scores)
    assert list(ranking) == ["all", "noise", "letter"]
    assert ranking["noise"] == {"auroc": 1.0, "average_precision": 1.0}
    assert ranking["letter"]["auroc"] == 0
    assert ranking["all"]["auroc"] == 0.5
