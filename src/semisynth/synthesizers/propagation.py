"""Labels spread from few labelled images to many others, over the graph of nearest neighbours.

Zhou et al., "Learning with local and global consistency" (NIPS 2003), on features that training improves, as in
Iscen et al., "Label propagation for deep semi-supervised learning" (arXiv 1904.04717).
"""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

NEIGHBOURS = 10
POWER = 30  # of the cosine similarity, which gives an edge its weight
STAY, LEAST_STAY, MOST_STAY = 5.0, 0.01, 0.2  # see `reach_of`
STEPS = 50
SHARPENING = 4  # exponent of the beliefs, which the walk blurs
VOTES = 3  # the mass of all votes for a class, where its labels together have 1
DOUBT = 0.1  # added to the belief in each class, where the image in the middle of those reached has 1 in its own
UNDECIDED = 1e-6  # apart, at most, are votes that prefer no class
_BLOCK = 500  # rows of similarities at a time: (500, n) float32


def graph_of_similar(similar: NDArray[np.float32], nearest: NDArray[np.integer]) -> sparse.csr_array:
    """As `graph_of`, for the cosine similarities of `neighbours`, of which each row's first ten count."""
    return graph_of(np.maximum(similar[:, :NEIGHBOURS], 0) ** POWER, nearest[:, :NEIGHBOURS])


def graph_of(weights: NDArray[np.float32], nearest: NDArray[np.integer]) -> sparse.csr_array:
    """What labels spread over: sparse float32 (n, n), where each image is joined to its `nearest` (n, k).

    Symmetric, an edge with the larger one of two `weights` (n, k), none of them negative, and normalised. An image
    without a weight stands alone.
    """
    count, wanted = nearest.shape
    origins = np.repeat(np.arange(count), wanted)
    edges = sparse.csr_array((weights.ravel(), (origins, nearest.ravel())), shape=(count, count))
    edges = edges.maximum(edges.T)
    degrees = edges.sum(axis=1)
    scale = sparse.diags_array(np.divide(1, np.sqrt(degrees), out=np.zeros_like(degrees), where=degrees > 0))
    return sparse.csr_array(scale @ edges @ scale, dtype=np.float32)


def spread(
    graph: sparse.csr_array,
    labels: NDArray[np.int64],
    classes: int,
    votes: NDArray[np.float32] | None = None,
    *,
    even: bool = True,
) -> NDArray[np.float32]:
    """Class probabilities float32 (n, classes) of a graph's other images; the first have `labels` int64 (m,).

    Each class starts with the same mass, however many of its images are labelled; how large it grows, the graph
    alone decides. An image that labels hardly reach, by `DOUBT` of what reaches the one in the middle, stays in
    doubt, as more images of a large class do than of a small one. What none reaches gets the same probability for
    every class. `votes` (n, classes), probabilities found before, spread like labels of less weight: a cluster
    without a label goes where its images' votes do, as in co-training (Blum and Mitchell, COLT 1998); undecided
    ones are not cast. With `even`, for classes that are about equally large, all votes for one weigh as much as
    all for another: where they are few, each weighs more. Otherwise every vote weighs the same.
    """
    reach = reach_of(len(labels), graph.shape[0])
    start = np.zeros((graph.shape[0], classes), np.float32)
    start[np.arange(len(labels)), labels] = 1
    start /= np.maximum(start.sum(axis=0), 1)
    if votes is not None:
        cast = np.where(np.ptp(votes, axis=1, keepdims=True) > UNDECIDED, votes, 0)
        mass = cast.sum(axis=0) if even else cast.sum() / np.float32(classes)
        start[len(labels) :] = VOTES * cast / np.maximum(mass, 1)
    belief = start
    for _ in range(STEPS):
        belief = np.float32(reach) * (graph @ belief) + np.float32(1 - reach) * start
    reached = belief[len(labels) :].astype(np.float64)
    most = reached.max(axis=1)
    if most.any():
        reached += DOUBT * np.median(most[most > 0])
    reached = (reached / np.maximum(reached.max(axis=1, keepdims=True), 1e-300)) ** SHARPENING + 1e-12
    return np.asarray(reached / reached.sum(axis=1, keepdims=True), np.float32)


def reach_of(known: int, images: int) -> float:
    """The share of its neighbours' beliefs that an image takes over in each step, in [0.8, 0.99].

    A label's walk ends in each step with a probability of five times the share of images that are labelled, within
    limits: among few labels it must go far, and among many, those that are near know better than the others.
    """
    return 1 - min(MOST_STAY, max(LEAST_STAY, STAY * known / images))


def counts_of(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many of (n, classes) have each class for the likeliest, int64 (classes,); undecided ones have none."""
    decided = np.ptp(probabilities, axis=1) > UNDECIDED
    return np.bincount(probabilities[decided].argmax(axis=1), minlength=probabilities.shape[1])


def certainty(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 minus the entropy (n,) of probabilities (n, classes), as a share of its maximum: 0 to 1."""
    entropy = -np.sum(probabilities * np.log(probabilities + 1e-12), axis=1)
    return np.asarray(np.clip(1 - entropy / np.log(probabilities.shape[1]), 0, 1), np.float32)


def neighbours(rows: NDArray[np.float32], wanted: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Cosine similarity and index, each (n, k), of each row's nearest others, the nearest first.

    k is `wanted`, or less where there are not so many `rows` (n, d). A row of zeros is as similar to any other.
    ValueError where there are fewer than two.
    """
    if len(rows) < 2:
        raise ValueError(f"expected two images at least, received {len(rows)}")
    wanted = min(wanted, len(rows) - 1)
    units = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    everything = tf.constant(units, tf.float32)
    similar, nearest = [], []
    for start in range(0, len(rows), _BLOCK):
        block = tf.matmul(everything[start : start + _BLOCK], everything, transpose_b=True)
        values, indices = (found.numpy() for found in tf.math.top_k(block, wanted + 1))
        dropped = indices == start + np.arange(len(indices))[:, np.newaxis]  # none is its own neighbour
        dropped[~dropped.any(axis=1), -1] = True  # among many equals it may be missing: then the last
        similar.append(values[~dropped].reshape(-1, wanted))
        nearest.append(indices[~dropped].reshape(-1, wanted))
    return np.concatenate(similar), np.concatenate(nearest)
