"""Anomalies planted among real images, so that a detector's ranking can be measured.

Each `plant_KIND` turns images uint8 (n, side, side) into as many anomalies of the same shape; equal seeds
give equal arrays. All keep the brightness or the strokes of their sources where they can, since an anomaly
that brightness alone gives away measures nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisynth.anomaly.letters import draw_letter

Others = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images and their labels

NORMAL = -1
IMAGES_PER_KIND = 4  # at least: two anomalies, and as many normal images
PATCHES = 4  # a side
NOISE, SHUFFLED, BLENDED, LETTER, PLACES = range(1, 6)  # keep the kinds' random streams apart


def plant_noise(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Noise with the pixel histogram of a real image: its own pixels in random order.

    Every pixel moves, so the result differs from its source unless that has one grey value only.
    """
    random = np.random.default_rng([seed, NOISE])
    pixels = images.reshape(len(images), -1)
    return np.stack([_moved(row, random) for row in pixels]).reshape(images.shape)


def plant_inverted(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark strokes on a light background: 255 minus each pixel."""
    return 255 - images


def plant_shuffled(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Images cut into 4 × 4 patches, and each patch moved to the place of another.

    The patches move in one cycle, so the result differs from its source unless all patches are alike.
    `side` must be a multiple of 4.
    """
    random = np.random.default_rng([seed, SHUFFLED])
    n, side = images.shape[:2]
    edge = side // PATCHES
    grid = images.reshape(n, PATCHES, edge, PATCHES, edge).swapaxes(2, 3)  # (n, 4, 4, edge, edge)
    moved = np.stack([_moved(patches, random) for patches in grid.reshape(n, -1, edge, edge)])
    return moved.reshape(grid.shape).swapaxes(2, 3).reshape(images.shape)


def plant_blended(
    images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int, others: Others | None = None
) -> NDArray[np.uint8]:
    """Two images of different classes, one written over the other: the brighter of each two pixels.

    An average would halve the strokes' brightness, and that would give it away. Now and then one image hides
    in the other (a 7 in a 9), so no detector is perfect here. `labels` is (n,), -1 nowhere.
    Where all images are of one class, partners come from `others`; ValueError where these are of that class too.
    """
    pool, classes = (images, labels) if others is None or len(np.unique(labels)) > 1 else others
    if len(np.union1d(labels, classes)) < 2:
        raise ValueError(f"expected images of at least 2 classes to blend, received labels {np.unique(classes)}")
    random = np.random.default_rng([seed, BLENDED])
    partners = [random.choice(np.flatnonzero(classes != label)) for label in labels]
    return np.maximum(images, pool[partners])


def plant_letter(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Letters that don't look like digits, drawn from fonts; of `images`, the shape alone counts."""
    random = np.random.default_rng([seed, LETTER])
    return np.stack([draw_letter(images.shape[1], random) for _ in images])


def _moved(parts: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """`parts` (k, ...) in an order that is one random cycle of length k: each comes to another place."""
    cycle = random.permutation(len(parts))
    moved = np.empty_like(parts)
    moved[np.roll(cycle, 1)] = parts[cycle]
    return moved


@dataclass(frozen=True)
class PlantedSet:
    """Normal images and anomalies in random order.

    `images` uint8 (n, side, side); `kind` int64 (n,), an index into `kinds`, or -1 for a normal image.
    """

    images: NDArray[np.uint8]
    kind: NDArray[np.int64]
    kinds: tuple[str, ...]

    @property
    def is_anomaly(self) -> NDArray[np.bool_]:
        """Mask bool (n,)."""
        return np.not_equal(self.kind, NORMAL)

    def among_normals(self, kind: str) -> NDArray[np.bool_]:
        """Mask bool (n,) of the anomalies of one `kind` and all normal images."""
        return np.isin(self.kind, [NORMAL, self.kinds.index(kind)])


def plant(
    kinds: Sequence[str],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    per_kind: int,
    normal: int,
    seed: int,
) -> PlantedSet:
    """Hide `per_kind` anomalies of each of `kinds` among `normal` images; fewer where there are too few images.

    `images` uint8 (n, side, side) with `labels` int64 (n,) are real. At most half of them become anomalies, and
    none of those is a normal image too, or a nearest neighbour could tell. Raises ValueError on an unknown
    or repeated kind, where fewer than two images a kind are left, and where images of one class are to be blended.
    """
    if len(set(kinds)) < len(kinds):
        raise ValueError(f"expected each kind once, received {', '.join(kinds)}")
    if len(images) < IMAGES_PER_KIND * len(kinds):
        raise ValueError(
            f"expected at least {IMAGES_PER_KIND * len(kinds)} images to plant {', '.join(kinds)}, "
            f"received {len(images)}"
        )
    per_kind = min(per_kind, len(images) // (2 * len(kinds)))
    random = np.random.default_rng([seed, PLACES])
    order = random.permutation(len(images))
    sources, rest = order[: per_kind * len(kinds)].reshape(len(kinds), per_kind), order[per_kind * len(kinds) :]
    parts = [
        _anomalies(kind, images[rows], labels[rows], seed, (images, labels))
        for kind, rows in zip(kinds, sources, strict=True)
    ]
    kept = rest[:normal]
    codes = np.repeat([*range(len(kinds)), NORMAL], [per_kind] * len(kinds) + [len(kept)])
    places = random.permutation(len(codes))
    return PlantedSet(np.concatenate([*parts, images[kept]])[places], codes[places].astype(np.int64), tuple(kinds))


def _anomalies(
    kind: str, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int, others: Others
) -> NDArray[np.uint8]:
    match kind:
        case "noise":
            return plant_noise(images, seed)
        case "inverted":
            return plant_inverted(images)
        case "shuffled":
            return plant_shuffled(images, seed)
        case "blended":
            return plant_blended(images, labels, seed, others)
        case "letter":
            return plant_letter(images, seed)
    raise ValueError(f"expected noise, inverted, shuffled, blended or letter, received {kind!r}")
