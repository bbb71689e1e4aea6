"""Draws labelled images from a synthesizer, and keeps those whose label a classifier believes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from semisynth.synthesizers.sampler import Sampler

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Probabilities = Callable[[Images], NDArray[np.float32]]
Drawn = tuple[Images, Labels, NDArray[np.float32]]


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
    belief = _of(labels, probabilities)
    kept = np.concatenate(
        [
            np.flatnonzero((labels == label) & (belief >= confidence))[:per_class]
            for label in range(synthesizer.classes)
        ]
    )
    return images[kept], labels[kept], np.clip(belief[kept], 0, 1)


def draw_wide(
    synthesizer: Sampler,
    believe: Probabilities,
    *,
    per_class: int,
    widest: float,
    confidence: float,
    seed: int,
) -> Drawn:
    """Draw `per_class` images a class from latents stretched 1 to `widest` times; returns as `draw_labelled` does.

    A generator that trained for a short time shows less variety than its data. Latents farther out than those
    that it trained on bring it back, and some images that show nothing; so an image stays only where `believe`
    gives the class asked for at least `confidence`, else its latent makes another one, unstretched. The reverse
    of truncation (Brock 2019, arXiv 1809.11096). ValueError for a recipe without classes, or of other latents.
    """
    if not synthesizer.has_classes or synthesizer.recipe.latent != "normal":
        raise ValueError(f"recipe `{synthesizer.recipe.name}` does not draw classes from normal latents")
    labels = np.repeat(np.arange(synthesizer.classes), per_class)
    random = np.random.default_rng([seed, 1])
    latents = random.standard_normal((len(labels), synthesizer.recipe.latent_size), np.float32)
    stretched = latents * random.uniform(1, widest, (len(labels), 1)).astype(np.float32)
    if synthesizer.recipe.ensemble > 1:
        stretched[:, -1] = latents[:, -1]  # which chooses the member
    images = synthesizer.decode(stretched, labels)
    belief = _of(labels, believe(images))
    again = np.flatnonzero(belief < confidence)
    if len(again):
        images[again] = synthesizer.decode(latents[again], labels[again])
        belief[again] = _of(labels[again], believe(images[again]))
    return images, labels, np.clip(belief, 0, 1)


def _of(labels: Labels, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    return probabilities[np.arange(len(labels)), labels].astype(np.float32)
