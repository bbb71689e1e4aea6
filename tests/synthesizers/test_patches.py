import numpy as np
import pytest

from semisynth.data.digits import bundled_digits
from semisynth.errors import SemisynthError
from semisynth.synthesizers.patches import Codebook, fit_codebook, unigram_entropy


def test_patches_are_read_row_by_row():
    centres = np.repeat(np.array([[0], [50], [100], [255]], np.float32), 4, axis=1)
    images = np.kron(np.array([[0, 1], [2, 3]]), np.ones((2, 2), int))
    bright = np.array([0, 60, 90, 250], np.uint8)[images][None]
    book = Codebook(centres)
    assert book.patch == 2
    assert book.tokens(bright).tolist() == [[0, 1, 2, 3]]
    np.testing.assert_array_equal(book.images(np.array([[0, 1, 2, 3]])), np.array([0, 50, 100, 255])[images][None])


def test_images_of_few_different_patches_come_back_as_they_were():
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (6, 4, 4), np.uint8)
    grid = tiles[random.integers(0, 6, (20, 4, 4))]  # (20, 4, 4, 4, 4)
    images = grid.swapaxes(2, 3).reshape(20, 16, 16)
    book = fit_codebook(images, codes=8, patch=4, seed=0)
    assert book.centres.shape == (6, 16)
    tokens = book.tokens(images)
    assert (tokens.shape, tokens.dtype) == ((20, 16), np.int32)
    np.testing.assert_array_equal(book.images(tokens), images)


def test_tokens_of_what_tokens_make_are_the_same():
    images = bundled_digits().images[:300]
    book = fit_codebook(images, codes=32, patch=4, seed=0)
    tokens = book.tokens(images)
    np.testing.assert_array_equal(book.tokens(book.images(tokens)), tokens)


def test_more_codes_lose_less():
    images = bundled_digits().images
    errors = []
    for codes in (1, 8, 64):
        book = fit_codebook(images[:400], codes=codes, patch=4, seed=0)
        assert len(book.centres) == codes
        unseen = images[400:600]
        errors.append(np.square(book.images(book.tokens(unseen)) - unseen.astype(float)).mean())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_equal_seeds_give_equal_centres():
    images = bundled_digits().images[:100]
    first, again, other = (fit_codebook(images, codes=8, patch=4, seed=seed).centres for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_patches_that_do_not_fill_the_image_are_refused():
    images = np.zeros((2, 16, 16), np.uint8)
    with pytest.raises(SemisynthError, match="multiple of its patch, 5, received 16"):
        fit_codebook(images, codes=2, patch=5, seed=0)
    with pytest.raises(SemisynthError, match="multiple of its patch, 3, received 16"):
        Codebook(np.zeros((2, 9), np.float32)).tokens(images)


@pytest.mark.parametrize(
    ("tokens", "bits"), [([[3, 3], [3, 3]], 0), ([[0, 1], [2, 3]], 2), ([[0, 0], [5, 7]], 1.5)]
)
def test_the_entropy_of_frequencies(tokens, bits):
    assert unigram_entropy(np.array(tokens)) == pytest.approx(bits)
