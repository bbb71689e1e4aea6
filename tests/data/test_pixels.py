import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from semisynth.data.pixels import flat, from_signed, from_unit, opaque_grey, to_signed, to_unit

ALL = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)


def test_black_and_white_in_each_range() -> None:
    ends = np.array([[[0, 255]]], np.uint8)
    assert to_unit(ends).ravel().tolist() == [0.0, 1.0]
    assert to_signed(ends).ravel().tolist() == [-1.0, 1.0]
    assert from_unit(np.array([0.0, 1.0])).tolist() == [0, 255]
    assert from_signed(np.array([-1.0, 1.0]).reshape(2, 1, 1, 1)).ravel().tolist() == [0, 255]


def test_every_value_round_trips() -> None:
    np.testing.assert_array_equal(from_unit(to_unit(ALL)), ALL)
    np.testing.assert_array_equal(from_signed(to_signed(ALL)), ALL)


def test_shapes_and_types() -> None:
    assert (to_unit(ALL).shape, to_unit(ALL).dtype) == ((1, 16, 16), np.float32)
    assert (to_signed(ALL).shape, to_signed(ALL).dtype) == ((1, 16, 16, 1), np.float32)
    assert (flat(ALL).shape, flat(ALL).dtype) == ((1, 256), np.float32)
    assert from_signed(to_signed(ALL)).dtype == np.uint8


def test_rows_keep_the_order_of_pixels() -> None:
    np.testing.assert_array_equal(flat(ALL)[0], to_unit(ALL).ravel())


def test_values_are_rounded_not_cut_off() -> None:
    assert from_unit(np.array([0.4 / 255, 0.6 / 255, 254.6 / 255])).tolist() == [0, 1, 255]


def test_values_outside_are_clipped_and_do_not_wrap_around() -> None:
    assert from_unit(np.array([-0.5, 1.5, np.inf, -np.inf])).tolist() == [0, 255, 255, 0]
    assert from_signed(np.array([-1.1, 1.1]).reshape(2, 1, 1, 1)).ravel().tolist() == [0, 255]


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="received NaN"):
        from_unit(np.array([0.5, np.nan]))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(10))
def test_images_are_taken_upright_as_pillow_turns_them(form: str, orientation: int) -> None:
    picture = np.zeros((16, 16), np.uint8)
    picture[:4], picture[8:, 12:] = 255, 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, form, exif=exif)
    grey = opaque_grey(Image.open(stream))
    assert grey is not None
    np.testing.assert_array_equal(grey, np.asarray(ImageOps.exif_transpose(Image.open(stream))))
    if orientation == 6 and form == "PNG":  # a quarter clockwise: what is above comes to the right
        np.testing.assert_array_equal(grey, np.rot90(picture, -1))


def test_damaged_exif_leaves_an_image_as_it_is() -> None:
    stream = io.BytesIO()
    Image.fromarray(ALL[0]).save(stream, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff")
    grey = opaque_grey(Image.open(stream))
    assert grey is not None
    np.testing.assert_array_equal(grey, ALL[0])
