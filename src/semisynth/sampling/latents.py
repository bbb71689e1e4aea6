"""Latents: drawn by seed, class and number, truncated, and on the way between two others."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from semisynth.errors import UsageError
from semisynth.synthesizers.sampler import Described

Latents = NDArray[np.float32]

LEAST_SINE = 1e-6  # of the angle between two latents that an arc can join


def check_truncation(truncation: float | None, recipe: Described) -> None:
    """UsageError unless `truncation` is None, or larger than 0 and of a recipe with a latent space."""
    if truncation is not None and not recipe.has_latent_space:
        raise UsageError(
            f"`--truncation`: the numbers that recipe `{recipe.name}` draws by are no latent space; "
            "leave the option out"
        )
    if truncation is not None and not truncation > 0:  # true for NaN as well
        raise UsageError(f"`--truncation` must be larger than 0, received {truncation:g}")


def draw_latents(
    recipe: Described,
    labels: NDArray[np.int64],
    numbers: NDArray[np.int64],
    *,
    seed: int,
    truncation: float | None = None,
) -> Latents:
    """The latents float32 (n, latent) of the images that are the `numbers`-th (n,) of their classes `labels` (n,).

    They are distributed as the recipe has them, normal or uniform in [-1, 1]. Each depends on seed, class and
    number alone: more images, or other classes beside, leave it as it is.
    With `truncation`, all components lie within ±`truncation`, but for the one that chooses a member of an
    ensemble: normal ones outside are drawn again (Brock 2019, arXiv 1809.11096), uniform ones all scaled down.
    """
    keys = [[seed, *key] for key in zip(labels.tolist(), numbers.tolist(), strict=True)]
    drawn = _uniform if recipe.latent == "uniform" else _normal
    latents = np.stack([drawn(recipe.latent_size, key, truncation) for key in keys])
    if truncation is not None and recipe.ensemble > 1:
        latents[:, -1] = [drawn(recipe.latent_size, key, None)[-1] for key in keys]
    return latents


def _uniform(size: int, key: list[int], truncation: float | None) -> Latents:
    limit = 1.0 if truncation is None else min(1.0, truncation)
    return np.asarray(np.random.default_rng(key).uniform(-limit, limit, size), np.float32)


def _normal(size: int, key: list[int], truncation: float | None) -> Latents:
    random = np.random.default_rng(key)
    latent = random.standard_normal(size, np.float32)
    if truncation is None:
        return latent
    # One draw from the part of the distribution that is inside is what drawing until inside comes to.
    truncation = min(truncation, 100.0)  # farther out there is nothing, and float32 ends
    again = ndtri(random.uniform(ndtr(-truncation), ndtr(truncation), size))
    inside = np.nextafter(np.float32(truncation), np.float32(0))  # float32 may round the limit up
    return np.clip(np.where(np.abs(latent) <= truncation, latent, again), -inside, inside).astype(np.float32)


def slerp(first: Latents, last: Latents, steps: int) -> Latents:
    """Latents float32 (steps, size) from `first` to `last` (size,), both included, by equal angles.

    Shoemake 1985 (doi 10.1145/325334.325242) of their directions, while the norm changes evenly: between normal
    latents, whose norms hardly differ, it stays, where a straight line would pass through rarer, shorter ones.
    Straight where no arc is defined.
    """
    share = np.linspace(0, 1, steps)[:, np.newaxis]  # (steps, 1)
    start, end = first.astype(np.float64), last.astype(np.float64)
    first_norm, last_norm = np.linalg.norm(start), np.linalg.norm(end)
    norms = first_norm * last_norm
    angle = np.arccos(np.clip(np.dot(start, end) / norms, -1, 1)) if norms else 0.0
    if np.sin(angle) < LEAST_SINE:
        path = (1 - share) * start + share * end
    else:
        arc = np.sin((1 - share) * angle) * start / first_norm + np.sin(share * angle) * end / last_norm
        path = ((1 - share) * first_norm + share * last_norm) * arc / np.sin(angle)
    return np.asarray(path, np.float32)


def between(recipe: Described, first: Latents, last: Latents, steps: int) -> Latents:
    """Latents float32 (steps, size) from `first` to `last`: along the arc, or straight where they are uniform."""
    if recipe.latent == "uniform":
        return np.linspace(first, last, steps, dtype=np.float32)
    return slerp(first, last, steps)


def plane(steps: int, limit: float) -> Latents:
    """Two-dimensional latents float32 (steps², 2) on a grid from -`limit` to `limit`, row by row.

    The first component grows to the right, the second upward.
    """
    places = np.linspace(-limit, limit, steps, dtype=np.float32)
    across, up = np.meshgrid(places, places[::-1])
    return np.stack([across.ravel(), up.ravel()], axis=1)
