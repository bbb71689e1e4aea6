"""Labels of images, spread over what a network sees in them, and over how their strokes run."""

from dataclasses import dataclass
from typing import Self

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semisynth.data.gradients import gradient_histograms
from semisynth.data.imageset import ImageSet
from semisynth.synthesizers.deformation import deformed_distances
from semisynth.synthesizers.propagation import NEIGHBOURS, graph_of, graph_of_similar, neighbours, spread
from semisynth.training.inference import batched_outputs

COMPONENTS = 128  # of the histograms, at most: their neighbours hardly change, and are found faster
CANDIDATES = 50  # nearest by the histograms, of which those are chosen that deform least
CHOSEN = 5
FALL = 2.0  # an edge of the median distance, copies left aside, has a weight of exp(-2)
STROKES = 0.6  # the length of the strokes' part of an image's features, where the network's has 1
_SAMPLE = 5000  # images, at most, that the components are found of


@dataclass(frozen=True)
class Strokes:
    """How the strokes of images run, which takes no learning: a second view of them, beside a network's features.

    Of m labelled images and n unlabelled ones behind them: `features` float32 (m + n, d) of length 1, 0 of even
    images; a `graph` of those that a little deformation makes alike; and `votes` float32 (n, classes), the class
    probabilities of the unlabelled ones, spread over it and the features' neighbours. They err elsewhere than the
    network does: distortions that it learns to see through can part a way of writing, as a crossed seven, from its
    class.
    """

    features: NDArray[np.float32]
    graph: sparse.csr_array
    votes: NDArray[np.float32]

    @classmethod
    def of(cls, labelled: ImageSet, unlabelled: NDArray[np.uint8]) -> Self:
        """The strokes of `labelled` images and of `unlabelled` uint8 (n, side, side)."""
        images = np.concatenate([labelled.images, unlabelled])
        features = _features_of(images)
        similar, nearest = neighbours(features, CANDIDATES)
        graph = _graph_of_deformed(images, similar, nearest)
        both = _mean_of(graph_of_similar(similar, nearest), graph)
        return cls(features, graph, spread(both, labelled.labels, labelled.classes))


def propagated(
    network: keras.Model,
    labelled: ImageSet,
    unlabelled: NDArray[np.uint8],
    strokes: Strokes,
    votes: NDArray[np.float32] | None = None,
    *,
    even: bool = True,
) -> NDArray[np.float32]:
    """Class probabilities float32 (n, classes) of the unlabelled images.

    Labels spread over two graphs at once: of neighbours in the network's features and the strokes' together, and
    of the `strokes` of the same images. They are helped by `votes` (n, classes), what was found before, by default
    those of the strokes; `even`: see `spread`.
    """

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return batched_outputs(lambda batch: network(batch, training=False), images)["features"]

    seen = _of_unit_length(np.concatenate([features(labelled.images), features(unlabelled)]))
    together = np.concatenate([seen, np.float32(STROKES) * strokes.features], axis=1)
    both = _mean_of(graph_of_similar(*neighbours(together, NEIGHBOURS)), strokes.graph)
    votes = strokes.votes if votes is None else votes
    return spread(both, labelled.labels, labelled.classes, votes, even=even)


def _graph_of_deformed(
    images: NDArray[np.uint8], similar: NDArray[np.float32], nearest: NDArray[np.int32]
) -> sparse.csr_array:
    """Joins each image to those of its `nearest` (n, k), `similar` to it, that deform into it with least loss."""
    far = np.where(similar > 0, deformed_distances(images, nearest), np.float32(np.inf))
    order = np.argsort(far, axis=1, kind="stable")[:, :CHOSEN]
    least = np.take_along_axis(far, order, axis=1)
    apart = least[np.isfinite(least) & (least > 0)]  # copies say nothing of how far others are
    usual = float(np.median(apart)) if apart.size else 1.0
    return graph_of(np.exp(-FALL * least / usual), np.take_along_axis(nearest, order, axis=1))


def _features_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The main components (n, d) of gradient histograms, of unit length, or 0."""
    histograms = _of_unit_length(gradient_histograms(images))
    some = histograms[:: -(-len(histograms) // _SAMPLE)]
    components = np.linalg.svd(some, full_matrices=False).Vh[:COMPONENTS]
    return _of_unit_length(histograms @ components.T)


def _mean_of(first: sparse.csr_array, second: sparse.csr_array) -> sparse.csr_array:
    return (first + second) * np.float32(0.5)


def _of_unit_length(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
