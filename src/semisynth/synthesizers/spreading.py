"""Labels of images, spread over what a network sees in them, and over how their strokes run."""

from dataclasses import dataclass
from typing import Self

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semisynth.data.gradients import gradient_histograms
from semisynth.data.imageset import ImageSet
from semisynth.synthesizers.propagation import graph_of, propagate, spread
from semisynth.training.inference import batched_outputs

COMPONENTS = 128  # of the histograms, at most: their neighbours hardly change, and are found faster
STROKES = 0.6  # the length of the strokes' part of an image's features, where the network's has 1
_SAMPLE = 5000  # images, at most, that the components are found of


@dataclass(frozen=True)
class Strokes:
    """How the strokes of images run, which takes no learning: a second view of them, beside a network's features.

    `labelled` float32 (m, d) and `unlabelled` (n, d) are features of length 1, 0 of even images; `graph` is that
    of their neighbours; `votes` float32 (n, classes) are the class probabilities of the unlabelled images, spread
    over it alone. They err elsewhere than the network does: distortions that it learns to see through can part a
    way of writing, as a crossed seven, from its class.
    """

    labelled: NDArray[np.float32]
    unlabelled: NDArray[np.float32]
    graph: sparse.csr_array
    votes: NDArray[np.float32]

    @classmethod
    def of(cls, labelled: ImageSet, unlabelled: NDArray[np.uint8]) -> Self:
        """The strokes of `labelled` images and of `unlabelled` uint8 (n, side, side)."""
        histograms = _of_unit_length(gradient_histograms(np.concatenate([labelled.images, unlabelled])))
        some = histograms[:: -(-len(histograms) // _SAMPLE)]
        components = np.linalg.svd(some, full_matrices=False).Vh[:COMPONENTS]
        features = _of_unit_length(histograms @ components.T)
        known, others = features[: len(labelled)], features[len(labelled) :]
        graph = graph_of(known, others)
        return cls(known, others, graph, spread(graph, labelled.labels, labelled.classes))


def propagated(
    network: keras.Model,
    labelled: ImageSet,
    unlabelled: NDArray[np.uint8],
    strokes: Strokes,
    votes: NDArray[np.float32] | None = None,
    *,
    even: bool = True,
) -> NDArray[np.float32]:
    """Class probabilities float32 (n, classes) of the unlabelled images, by what two views of them agree on.

    Labels spread over the network's features and the strokes together, helped by `votes` (n, classes), what was
    found before, by default those of the strokes; then over the strokes alone, helped by the result. The two
    results are multiplied, as those of two views are in co-training (Blum and Mitchell, COLT 1998). `strokes` are
    those of the same images; `even`: see `spread`.
    """
    labels, classes = labelled.labels, labelled.classes

    def features(images: NDArray[np.uint8], beside: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = batched_outputs(lambda batch: network(batch, training=False), images)["features"]
        return np.concatenate([_of_unit_length(seen), np.float32(STROKES) * beside], axis=1)

    others, known = features(unlabelled, strokes.unlabelled), features(labelled.images, strokes.labelled)
    by_both = propagate(others, known, labels, classes, strokes.votes if votes is None else votes, even=even)
    return agreed(by_both, spread(strokes.graph, labels, classes, by_both, even=even))


def agreed(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised product of two views' class probabilities float32 (n, classes), none of them 0."""
    together = first.astype(np.float64) * second
    return np.asarray(together / together.sum(axis=1, keepdims=True), np.float32)


def _of_unit_length(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
