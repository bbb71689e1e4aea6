"""Whether synthetic images are copies of training images: distances to those and to held-out images tell."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin_min, roc_auc_score


def nearest_distances(queries: NDArray[np.floating], references: NDArray[np.floating]) -> NDArray[np.float64]:
    """Euclidean distance (n,) from each row of `queries` (n, d) to the nearest row of `references` (m, d)."""
    queries, references = queries.astype(np.float64), references.astype(np.float64)
    nearest, _ = pairwise_distances_argmin_min(queries, references)  # its distances of equal rows are not quite 0
    return np.asarray(np.linalg.norm(queries - references[nearest], axis=1), np.float64)


def distance_ratio(
    synthetic: NDArray[np.floating], training: NDArray[np.floating], held_out: NDArray[np.floating]
) -> float:
    """Median distance to the nearest training image over that to the nearest held-out image; 0 or more.

    About 1 = no nearer to what was seen in training; 0 = copies. Features are (n, d). `training` and
    `held_out` must have the same size (ValueError), as the nearest of more images is nearer. A sample of
    the training images shows few copies: `memorised_share` looks among all of them. To compare with held-out
    images follows Meehan et al. 2020, arXiv 2004.05675.
    """
    _check_equal(training, held_out)
    reference = float(np.median(nearest_distances(synthetic, held_out)))
    if reference == 0:
        raise ValueError("expected synthetic images that differ from the held-out ones, received copies of them")
    return float(np.median(nearest_distances(synthetic, training))) / reference


def memorisation_auroc(
    synthetic: NDArray[np.floating], training: NDArray[np.floating], held_out: NDArray[np.floating]
) -> float:
    """Chance that a synthetic image is nearer to a training image than one is to a held-out image; in [0, 1].

    Distances are to the nearest row; ties count half. About 0.5 = no nearer to what was seen in training,
    1 = copies. `training` and `held_out` (m, d) must have the same size (ValueError), as in `distance_ratio`,
    which tells by how much. A rank statistic for copies is the idea of Meehan et al. 2020, arXiv 2004.05675.
    """
    _check_equal(training, held_out)
    seen, unseen = nearest_distances(synthetic, training), nearest_distances(synthetic, held_out)
    is_unseen = np.repeat([False, True], len(synthetic))
    return float(roc_auc_score(is_unseen, np.concatenate([seen, unseen])))


def memorised_share(
    synthetic: NDArray[np.floating], training: NDArray[np.floating], held_out: NDArray[np.floating]
) -> float:
    """Estimated share of synthetic images that are copies of training images; about 0 = none, 1 = all.

    Were training images (m, d) and held-out images (k, d) alike to the generator, the nearest real image
    would be a training image in m / (m + k) of the cases. The excess over that, divided by the largest
    excess there can be, estimates the share of copies, after Meehan et al. 2020, arXiv 2004.05675, whose test
    asks whether there are any. Smaller is better. An equal distance counts half. Chance takes it to
    either side by (m / k / n)^½ for n different images, were these two sets of real images the only ones there
    could be; which ones they happen to be adds to that. So small sets or a collapsed synthetic one leave it
    rough; and a network that was itself trained on the training images has them nearer in its features: fresh
    MNIST digits reach 0.08 so.
    """
    seen, unseen = nearest_distances(synthetic, training), nearest_distances(synthetic, held_out)
    observed = float(np.mean((seen < unseen) + 0.5 * (seen == unseen)))
    expected = len(training) / (len(training) + len(held_out))
    return (observed - expected) / (1 - expected)


def _check_equal(training: NDArray[np.floating], held_out: NDArray[np.floating]) -> None:
    if len(training) != len(held_out):
        raise ValueError(f"expected as many training as held-out rows, received {len(training)}, {len(held_out)}")
