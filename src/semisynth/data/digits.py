"""scikit-learn's bundled handwritten digits, which need no network."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from semisynth.data.imageset import ImageSet

SIDE = 28  # pixels, MNIST's
BRIGHTEST = 16  # of the bundled images, which are 8 x 8


def bundled_digits() -> ImageSet:
    """Return the 1,797 digits, resized to 28 x 28: uint8 (1797, 28, 28), labels int64 (1797,), ten classes.

    Source: https://archive.ics.uci.edu/dataset/80 (its test set), as scikit-learn bundles it.
    """
    bundle = load_digits()
    small = np.rint(bundle.images * (255 / BRIGHTEST)).astype(np.uint8)  # (n, 8, 8)
    large = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for image in small]
    return ImageSet(
        images=np.stack([np.asarray(image) for image in large]),
        labels=bundle.target.astype(np.int64),
        class_names=tuple(str(name) for name in bundle.target_names),
        dataset="digits",
        pool=len(large),
        source="bundled digits",
    )
