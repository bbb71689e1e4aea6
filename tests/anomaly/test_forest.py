import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from semisynth.anomaly.forest import IsolationForestDetector
from semisynth.errors import SemisynthError


def test_scores_are_scikit_learns_negated(normal, outliers, joined):
    images = joined(normal(1, 100), outliers(2))
    expected = -IsolationForest(random_state=4).fit(normal(0).pixels).score_samples(images.pixels)
    ours = IsolationForestDetector(random_state=4).fit(normal(0)).score_samples(images)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_another_random_state_grows_another_forest(normal):
    images = normal(0)
    scores = [IsolationForestDetector(random_state=state).fit(images).score_samples(images) for state in (0, 1)]
    assert not np.array_equal(*scores)


def test_trees_without_an_end_are_refused(normal):
    forest = IsolationForestDetector(random_state=0).fit(normal(0))
    children = forest.arrays["children"].copy()
    children[:, 0, :] = [[1, *[0] * (children.shape[2] - 1)]] * 2
    forest.arrays = {**forest.arrays, "children": children}
    with pytest.raises(SemisynthError, match="expected trees that end, found a circle"):
        forest.score_samples(normal(1))
