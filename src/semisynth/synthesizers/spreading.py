"""Labels of images, spread over what a network sees in them, and over their pixels."""

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from semisynth.data.imageset import ImageSet
from semisynth.synthesizers.propagation import propagate
from semisynth.training.inference import batched_outputs

Votes = NDArray[np.float32] | None

BLUR = 1 / 28  # of the side: the Gaussian's standard deviation, before pixels are compared


def propagated(
    network: keras.Model,
    labelled: ImageSet,
    unlabelled: NDArray[np.uint8],
    votes: Votes = None,
) -> NDArray[np.float32]:
    """Class probabilities float32 (n, classes) of the unlabelled images, spread over the network's features.

    `votes` are their `pixel_votes`, which are found where they aren't given.
    """

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return batched_outputs(lambda batch: network(batch, training=False), images)["features"]

    return propagate(
        features(unlabelled),
        features(labelled.images),
        labelled.labels,
        labelled.classes,
        pixel_votes(labelled, unlabelled) if votes is None else votes,
    )


def pixel_votes(labelled: ImageSet, unlabelled: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Class probabilities float32 (n, classes) of the unlabelled images, spread over slightly blurred pixels.

    Less often right than those over learned features, but wrong elsewhere: distortions that the network learns to
    see through can part a way of writing, as a crossed seven, from its class, while its pixels stay near.
    """

    def blurred(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        width = BLUR * labelled.side
        smooth = gaussian_filter(images, (0, width, width), output=np.float32)
        return np.asarray(smooth.reshape(len(images), -1))

    return propagate(blurred(unlabelled), blurred(labelled.images), labelled.labels, labelled.classes)
