"""An isolation forest whose trees are arrays: saved without code, scored without a loop over trees."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from semisynth.anomaly.detectors import Detector
from semisynth.anomaly.judged import Judged
from semisynth.errors import SemisynthError


class IsolationForestDetector(Detector):
    """How few random cuts isolate an image's pixels: Liu et al. 2008, doi 10.1109/ICDM.2008.17; in (0, 1]."""

    layout: ClassVar = {
        "children": "int32 2 trees nodes",
        "feature": "int32 trees nodes",
        "threshold": "float64 trees nodes",
        "length": "float64 trees nodes",
    }

    def check(self, name: str, sizes: Mapping[str, int]) -> None:
        """As every detector, and that nodes and pixels that the trees lead to are there."""
        super().check(name, sizes)
        for key, count in (("children", self.arrays["children"].shape[2]), ("feature", sizes["pixels"])):
            low, high = self.arrays[key].min(), self.arrays[key].max()
            if low < 0 or high >= count:
                raise ValueError(f"array `{name}.{key}`: 0 to {count - 1} expected, received {low} to {high}")

    def fit(self, normal: Judged, y: None = None) -> Self:
        """Grow scikit-learn's forest of 100 trees, and keep its trees side by side, padded to one length."""
        forest = IsolationForest(random_state=self.random_state).fit(normal.pixels)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        shape = (len(trees), max(tree.node_count for tree in trees))
        children = np.zeros((2, *shape), np.int32)
        feature, threshold = np.zeros(shape, np.int32), np.zeros(shape, np.float64)
        length = np.zeros(shape, np.float64)
        for row, tree in enumerate(trees):
            nodes, leaf = np.arange(tree.node_count), tree.children_left < 0
            for side, below in enumerate((tree.children_left, tree.children_right)):
                children[side, row, nodes] = np.where(leaf, nodes, below)  # a leaf leads to itself
            feature[row, nodes] = np.where(leaf, 0, tree.feature)
            threshold[row, nodes] = tree.threshold
            length[row, nodes] = tree.compute_node_depths() - 1 + _expected_length(tree.n_node_samples)
        scale = len(trees) * _expected_length(np.array([forest.max_samples_]))[0]
        self.arrays = {"children": children, "feature": feature, "threshold": threshold, "length": length / scale}
        return self

    def score_samples(self, judged: Judged) -> NDArray[np.float64]:
        """Scores float64 (n,) in (0, 1]; larger = more abnormal."""
        (left, right), feature = self._learnt("children"), self._learnt("feature")
        threshold, trees = self._learnt("threshold"), np.arange(len(feature))
        rows = np.arange(len(judged))[:, None]
        node = np.zeros((len(judged), len(trees)), np.int32)
        for _ in range(feature.shape[1]):  # a tree is no deeper than it has nodes
            cut = judged.pixels[rows, feature[trees, node]] <= threshold[trees, node]
            below = np.where(cut, left[trees, node], right[trees, node])
            if np.array_equal(below, node):
                return np.exp2(-self._learnt("length")[trees, node].sum(axis=1))  # type: ignore[no-any-return]
            node = below
        raise SemisynthError("array `isolation_forest.children`: expected trees that end, found a circle")


def _expected_length(count: NDArray[np.integer]) -> NDArray[np.float64]:
    """Cuts that isolate one of `count` images on average: formula 1 of the paper, 0 and 1 for one and two."""
    n = np.maximum(count, 2).astype(np.float64)
    many = 2 * (np.log(np.maximum(n - 1, 1)) + np.euler_gamma) - 2 * (n - 1) / n
    return np.select([count <= 1, count == 2], [0.0, 1.0], many)
