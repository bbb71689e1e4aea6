import hashlib

import numpy as np

from semisynth.data.imageset import ImageSet
from semisynth.data.summary import digest_of_array, images_per_class


def test_images_per_class_leaves_out_the_unlabelled() -> None:
    labels = np.array([2, 0, -1, 2])
    data = ImageSet(np.zeros((4, 16, 16), np.uint8), labels, ("a", "b", "c"), "tiny", pool=4)
    assert images_per_class(data) == {"a": 1, "b": 0, "c": 2}


def test_digest_is_of_little_endian_rows() -> None:
    expected = hashlib.sha256(bytes.fromhex("0100 0200 0300 0400")).hexdigest()
    rows = np.array([[1, 2], [3, 4]], "<i2")
    assert digest_of_array(rows) == digest_of_array(rows.astype(">i2")) == expected
    assert digest_of_array(np.asfortranarray(rows)) == expected
    assert digest_of_array(rows.T) != expected
