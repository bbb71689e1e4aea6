"""What tells one image set from another, in plain numbers and digests."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet


def images_per_class(data: ImageSet) -> dict[str, int]:
    """Count the labelled images of each class, by its name."""
    counts = np.bincount(data.labels[data.labels >= 0], minlength=data.classes)
    return dict(zip(data.class_names, counts.tolist(), strict=True))


def digest_of_array(array: NDArray[Any]) -> str:
    """SHA-256, in hexadecimal, of the array's bytes: row by row, little-endian."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()
