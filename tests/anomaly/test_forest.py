import numpy as np
from sklearn.ensemble import IsolationForest

from semisynth.anomaly.forest import IsolationForestDetector


def test_scores_are_scikit_learns_negated(normal, outliers, joined):
    images = joined(normal(1, 100), outliers(2))
    expected = -IsolationForest(random_state=4).fit(normal(0).pixels).score_samples(images.pixels)
    ours = IsolationForestDetector(random_state=4).fit(normal(0)).score_samples(images)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_another_random_state_grows_another_forest(normal):
    images = normal(0)
    scores = [IsolationForestDetector(random_state=state).fit(images).score_samples(images) for state in (0, 1)]
    assert not np.array_equal(*scores)
