import numpy as np
import pytest

from semisynth.synthesizers import deformation
from semisynth.synthesizers.deformation import deformed_distances


def crosses(side, places):
    """Black images with a white cross about each place: uint8 (n, side, side)."""
    images = np.zeros((len(places), side, side), np.uint8)
    for image, (row, column) in zip(images, places, strict=True):
        image[row - 2 : row + 3, column] = image[row, column - 2 : column + 3] = 255
    return images


def by_hand(image, other, reach):
    """The distance of two images, place by place."""
    side = len(image)

    def slopes(pixels):
        framed = np.pad(pixels / 255, 1)
        found = np.zeros((side, side, 2))
        for row in range(side):
            for column in range(side):
                about = framed[row : row + 3, column : column + 3]
                found[row, column] = (
                    (about[2] - about[0]) @ [1, 2, 1] / 8,
                    (about[:, 2] - about[:, 0]) @ [1, 2, 1] / 8,
                )
        return found

    of_image, of_other = slopes(image), np.pad(slopes(other), [(reach, reach)] * 2 + [(0, 0)])
    far = []
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            moved = of_other[down : down + side, right : right + side]
            squares = np.pad(np.square(of_image - moved).sum(axis=-1), 1)
            far.append(sum(squares[i : i + side, j : j + side] for i in range(3) for j in range(3)))
    return np.min(far, axis=0).sum()


@pytest.mark.parametrize(("side", "reach"), [(16, 1), (28, 2), (32, 2)])
def test_distances_by_hand(side, reach):
    images = np.random.default_rng(0).integers(0, 256, (5, side, side), np.uint8)
    others = np.array([[1, 2], [0, 4], [2, 3], [1, 0], [3, 2]])
    received = deformed_distances(images, others)
    assert received.dtype == np.float32
    expected = [[by_hand(images[one], images[two], reach) for two in row] for one, row in enumerate(others)]
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)
    assert received[2, 0] == 0  # from itself


def test_a_shift_within_reach_costs_nothing_and_a_longer_one_does():
    images = crosses(28, [(13, 13), (14, 13), (15, 15), (11, 12), (13, 17)])
    received = deformed_distances(images, np.tile(np.arange(5), (5, 1)))[0]
    np.testing.assert_allclose(received[:4], 0, atol=1e-6)
    assert received[4] > 0.1


def test_a_part_that_is_missing_in_the_other_image_costs_more_than_one_that_is_added():
    """Each pixel of the image must be explained, not each of the other."""
    one, two = crosses(28, [(7, 7)]), crosses(28, [(7, 7)]) + crosses(28, [(19, 19)])
    whole, part = deformed_distances(np.concatenate([two, one]), np.array([[1], [0]]))[:, 0]
    assert whole > 0.1
    assert 0 < part < whole / 2


def test_large_images_are_halved():
    small = np.random.default_rng(1).integers(0, 256, (4, 18, 18), np.uint8)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    others = np.array([[1], [2], [3], [0]])
    np.testing.assert_allclose(deformed_distances(large, others), deformed_distances(small, others), rtol=1e-4)


@pytest.mark.parametrize("pairs", [1, 6, 1000])
def test_batches_make_no_difference(monkeypatch, pairs):
    images = np.random.default_rng(2).integers(0, 256, (11, 16, 16), np.uint8)
    others = np.random.default_rng(3).integers(0, 11, (11, 3))
    expected = deformed_distances(images, others)
    monkeypatch.setattr(deformation, "_PAIRS", pairs)
    np.testing.assert_allclose(deformed_distances(images, others), expected, rtol=1e-5)
