"""The latent that images have in common, found by searching what the generator draws."""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from semisynth.data.imageset import UNLABELLED, ImageSet
from semisynth.data.pixels import to_signed
from semisynth.errors import SemisynthError
from semisynth.sampling.classes import names_of
from semisynth.sampling.latents import Latents, draw_latents
from semisynth.synthesizers.model import Synthesizer
from semisynth.synthesizers.sampler import Sampler
from semisynth.synthesizers.variational import VariationalSampler

MOST_IMAGES = 100  # searched together
CANDIDATES = 200  # drawn latents a class, from the nearest of which the search starts
STEPS, RATE = 300, 0.05
PRIOR = 0.01  # weight of the mean squared component, against a mean squared distance of pixels in [-1, 1]


def found_latents(synthesizer: Sampler, chosen: ImageSet, *, seed: int) -> Latents:
    """The latents float32 (n, latent) whose images are nearest to the chosen ones, pixel by pixel.

    By gradient descent through the generator (Zhu 2016, arXiv 1609.03552). Pixels, and not the discriminator's
    features, since those may be trained to overlook style. An image without label is searched for in the class
    that the discriminator sees. SemisynthError where images or labels do not fit the synthesizer.
    """
    if chosen.side != synthesizer.side or len(chosen) > MOST_IMAGES:
        raise SemisynthError(
            f"{chosen.source}: at most {MOST_IMAGES} images of side {synthesizer.side} expected, "
            f"received {len(chosen)} of side {chosen.side}"
        )
    if not isinstance(synthesizer, Synthesizer | VariationalSampler):
        raise SemisynthError(
            f"picture `style` searches by gradients, which recipe `{synthesizer.recipe.name}` does not have"
        )
    labels = _classes_of(synthesizer, chosen)
    target = tf.constant(to_signed(chosen.images))
    asked = [tf.constant(labels.astype(np.int32))] if synthesizer.has_classes else []
    latents = keras.Variable(_nearest_drawn(synthesizer, chosen.images, labels, seed))
    moves = np.ones(latents.shape[1], np.float32)
    if synthesizer.recipe.ensemble > 1:
        moves[-1] = 0  # the member stays that of the nearest drawn image
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build([latents])

    def step() -> None:
        with tf.GradientTape() as tape:
            drawn = synthesizer.generator([tf.convert_to_tensor(latents.value), *asked], training=False)
            distance = tf.reduce_mean(tf.square(drawn - target), axis=(1, 2, 3))  # (n,)
            norm = tf.reduce_mean(tf.square(latents.value), axis=1)  # (n,)
            loss = tf.reduce_sum(distance + PRIOR * norm)
        optimizer.apply([moves * tape.gradient(loss, latents.value)], [latents])
        if synthesizer.recipe.latent == "uniform":
            latents.assign(tf.clip_by_value(latents.value, -1.0, 1.0))  # beyond, the generator was never trained

    compiled = tf.function(step)
    for _ in range(STEPS):
        compiled()
    return np.asarray(latents, np.float32)


def distance_of(synthesizer: Sampler, latents: Latents, chosen: ImageSet) -> float:
    """Mean absolute difference, in grey levels of 255, between what `latents` draw and the chosen images."""
    drawn = synthesizer.decode(latents, _classes_of(synthesizer, chosen))
    return float(np.abs(drawn.astype(np.float64) - chosen.images).mean())


def _classes_of(synthesizer: Sampler, chosen: ImageSet) -> NDArray[np.int64]:
    """The synthesizer's class int64 (n,) of each image: by its label's name, else as the discriminator sees it."""
    if not synthesizer.has_classes:
        return np.zeros(len(chosen), np.int64)
    names = names_of(synthesizer)
    if synthesizer.tells_classes:
        labels = np.asarray(synthesizer.class_probabilities(chosen.images).argmax(1), np.int64)
    elif (chosen.labels == UNLABELLED).any():
        raise SemisynthError(
            f"{chosen.source}: a label for every image expected, as recipe `{synthesizer.recipe.name}` tells none"
        )
    else:
        labels = np.empty(len(chosen), np.int64)
    for row in np.flatnonzero(chosen.labels != UNLABELLED):
        name = chosen.class_names[chosen.labels[row]]
        if name not in names:
            raise SemisynthError(f"{chosen.source}: classes {', '.join(names)} expected, received {name!r}")
        labels[row] = names.index(name)
    return labels


def _nearest_drawn(
    synthesizer: Sampler, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int
) -> Latents:
    """Of `CANDIDATES` drawn latents of its class the one, float32 (n, latent), nearest to each image."""
    starts = np.empty((len(images), synthesizer.recipe.latent_size), np.float32)
    for label in np.unique(labels):
        same = np.full(CANDIDATES, label)
        latents = draw_latents(synthesizer.recipe, same, np.arange(CANDIDATES), seed=seed)
        drawn = synthesizer.decode(latents, same, batch_size=CANDIDATES).reshape(CANDIDATES, -1).astype(np.float32)
        for row in np.flatnonzero(labels == label):
            starts[row] = latents[np.square(drawn - images[row].ravel()).sum(1).argmin()]
    return starts
