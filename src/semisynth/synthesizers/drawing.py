"""Draws labelled images from a synthesizer, and keeps those whose label a classifier believes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from semisynth.synthesizers.sampler import Sampler

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Drawn = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]


def draw_labelled(
    synthesizer: Sampler,
    believe: Probabilities,
    *,
    per_class: int,
    candidates: float,
    confidence: float,
    seed: int,
) -> Drawn:
    """Draw `per_class` × `candidates` images a class, keep up to `per_class` of each: images, labels, confidence.

    A conditional recipe's label is the class that was asked for, an unconditional one's the class that `believe`
    (images to probabilities (n, classes)) finds likeliest; the confidence float32 (n,) is `believe`'s probability
    of it. The first `per_class` of at least `confidence` are kept, not the surest, which would all look alike.
    A class may end with fewer. Returns uint8 (m, side, side), int64 (m,), float32 (m,), ordered by class.
    """
    asked = np.repeat(np.arange(synthesizer.classes), int(np.ceil(per_class * candidates)))
    images = synthesizer.sample(asked, seed=seed)
    probabilities = believe(images)
    labels = asked if synthesizer.has_classes else probabilities.argmax(1).astype(np.int64)
    belief = probabilities[np.arange(len(labels)), labels].astype(np.float32)
    kept = np.concatenate(
        [
            np.flatnonzero((labels == label) & (belief >= confidence))[:per_class]
            for label in range(synthesizer.classes)
        ]
    )
    return images[kept], labels[kept], np.clip(belief[kept], 0, 1)
