import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from semisynth.scoring.decoding import LARGEST_ENCODED, decode
from semisynth.scoring.pieces import Raw

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
NOISE = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)


def decoded(cells, ids=None, first=0):
    return decode(Raw(first, ids or [str(row) for row in range(len(cells))], cells), 16)


def bomb(width, height):
    """A PNG whose header promises a picture of this size."""
    return chunked(struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0), bytes(100))


def deep(colour, channels):
    """A white PNG of 16 bits a channel, of a type of colour."""
    return chunked(struct.pack(">2I5B", 16, 16, 16, colour, 0, 0, 0), (b"\0" + b"\xff" * 32 * channels) * 16)


def chunked(header, pixels):
    """A PNG of a header and of pixels before they are packed."""
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_png_keeps_every_grey_level(encoded):
    rows = decoded(pa.array([encoded(GREY), encoded(255 - GREY)]), first=10)
    np.testing.assert_array_equal(rows.images, [GREY, 255 - GREY])
    assert (rows.ids, rows.rows.tolist(), rows.bad) == (["0", "1"], [10, 11], [])


def test_jpeg_and_colour_become_grey(encoded):
    colour = np.repeat(GREY[..., None], 3, axis=2)
    rows = decoded(pa.array([encoded(GREY, "JPEG"), encoded(colour)], pa.large_binary()))
    assert np.abs(rows.images[0].astype(int) - GREY).max() < 20
    np.testing.assert_array_equal(rows.images[1], GREY)


def test_an_alpha_channel_may_be_opaque(encoded):
    opaque = np.dstack([GREY] * 3 + [np.full_like(GREY, 255)])
    rows = decoded(pa.array([encoded(opaque)], pa.binary()))
    np.testing.assert_array_equal(rows.images[0], GREY)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda png: None, "null"),
        (lambda png: b"", "undecodable: expected PNG or JPEG"),
        (lambda png: b"not an image", "undecodable: expected PNG or JPEG"),
        (lambda png: png(NOISE)[:200], "undecodable: expected PNG or JPEG"),
        (lambda png: png(GREY, "BMP"), "undecodable: expected PNG or JPEG"),
        (lambda png: png(GREY[:12]), "wrong size: 16x12, expected 16x16"),
        (lambda png: png(GREY.astype(np.uint16) * 256), "wrong dtype: mode I;16, expected 8 bits a channel"),
        (lambda png: deep(2, 3), "wrong dtype: mode RGB;16B, expected 8 bits a channel"),
        (lambda png: deep(4, 2), "wrong dtype: mode LA;16B, expected 8 bits a channel"),
        (lambda png: deep(6, 4), "wrong dtype: mode RGBA;16B, expected 8 bits a channel"),
        (lambda png: png(np.zeros((16, 16, 4), np.uint8)), "transparency: mode RGBA, expected an opaque image"),
        (lambda png: bomb(5000, 5000), "wrong size: 5000x5000, expected 16x16"),
        (lambda png: bomb(12_000, 12_000), "wrong size: a decompression bomb"),
        (lambda png: bomb(60_000, 60_000), "wrong size: a decompression bomb"),
        (lambda png: bytes(LARGEST_ENCODED + 1), f"too large: {LARGEST_ENCODED + 1} bytes encoded, the limit is"),
    ],
)
def test_an_image_that_cannot_be_taken_has_a_reason(encoded, make, reason, monkeypatch):
    cells = pa.array([encoded(GREY), make(encoded), encoded(GREY)], pa.binary())
    monkeypatch.setattr(Image.Image, "load", _bounded(Image.Image.load))
    rows = decoded(cells, first=5)
    assert rows.rows.tolist() == [5, 7]
    assert len(rows.images) == 2
    ((row, why),) = rows.bad
    assert row == 6
    assert why.startswith(reason)


def _bounded(load):
    def watched(image):
        assert image.size == (16, 16), "unpacked before its size was checked"
        return load(image)

    return watched


def test_null_pixels_of_another_type_are_no_zeros():
    cells = pa.array([[True] * 255 + [None], [False] * 256], pa.list_(pa.bool_()))
    assert decoded(cells).bad == [(0, "null pixel"), (1, "wrong dtype: bool, expected uint8")]


def test_lists_of_pixels():
    cells = pa.array([GREY.reshape(-1).tolist(), None, [1, 2], [0] * 255 + [None]], pa.list_(pa.uint8()))
    rows = decoded(cells)
    np.testing.assert_array_equal(rows.images, [GREY])
    assert rows.bad == [(1, "null"), (2, "wrong size: 2 pixels, expected 256"), (3, "null pixel")]


def test_lists_of_fixed_size_in_the_middle_of_a_column():
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16), np.uint8)
    cells = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), 256)
    np.testing.assert_array_equal(decoded(cells.slice(2, 3)).images, images[2:5])
    holed = pa.array([row.reshape(-1).tolist() if at != 1 else None for at, row in enumerate(images)], cells.type)
    rows = decoded(holed)
    np.testing.assert_array_equal(rows.images, images[[0, 2, 3, 4, 5]])
    assert rows.bad == [(1, "null")]


def test_lists_of_another_type_are_refused_row_by_row():
    values = [[0.5] * 256, [float("nan")] + [0.0] * 255]
    rows = decoded(pa.array(values, pa.list_(pa.float32())))
    assert rows.bad == [(0, "wrong dtype: float, expected uint8"), (1, "NaN")]
    assert rows.images.shape == (0, 16, 16)


def test_arrays_of_another_type_are_refused_row_by_row():
    cells = np.zeros((2, 16, 16), np.float32)
    cells[1, 3, 3] = np.nan
    assert decoded(cells).bad == [(0, "wrong dtype: float32, expected uint8"), (1, "NaN")]
    assert decoded(np.zeros((1, 16, 16), np.int64)).bad == [(0, "wrong dtype: int64, expected uint8")]


def test_rows_without_an_id_and_rows_refused_unread():
    rows = decoded(np.stack([GREY, GREY]), ids=["a", None])
    assert (rows.ids, rows.bad) == (["a"], [(1, "null id")])
    rows = decoded(np.stack([GREY, GREY, GREY]), ids=["caf\udce9.png", None, "b"])
    assert (rows.ids, rows.bad) == (["b"], [(0, "id that is not Unicode"), (1, "null id")])
    refused = decode(Raw(3, ["a", "b"], "wrong size: 5x5, expected 16x16"), 16)
    assert refused.bad == [(3, "wrong size: 5x5, expected 16x16"), (4, "wrong size: 5x5, expected 16x16")]
