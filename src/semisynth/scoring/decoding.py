"""From cells to images: what can't be taken as it is gets a reason, and nothing is repaired.

Sizes are checked before anything is unpacked, so that a decompression bomb costs no more than its header.
"""

import io
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from semisynth.data.pixels import deep_mode, opaque_grey
from semisynth.files import is_unicode
from semisynth.scoring.pieces import Decoded, Raw

FORMATS = ("PNG", "JPEG")
LARGEST_ENCODED = 2**20  # bytes of one encoded image
NO_ID, BROKEN_ID = "null id", "id that is not Unicode"

Images = NDArray[np.uint8]
Bad = list[tuple[int, str]]  # rows of the batch, and reasons


class UnusableError(Exception):
    """Why a row can't be scored."""


def decode(raw: Raw, side: int) -> Decoded:
    """Decode rows to images uint8 (n, side, side), and tell which ones can't be, and why."""
    count = len(raw.ids)
    if isinstance(raw.cells, str):
        images, good = np.empty((0, side, side), np.uint8), list[int]()
        bad = [(row, raw.cells) for row in range(count)]
    elif isinstance(raw.cells, np.ndarray):
        images, good, bad = _from_array(raw.cells)
    elif pa.types.is_binary(raw.cells.type) or pa.types.is_large_binary(raw.cells.type):
        images, good, bad = _from_encoded(raw.cells, side)
    else:
        images, good, bad = _from_lists(raw.cells, side)
    bad = [(row, raw.refused.get(row, why)) for row, why in bad]
    nameless = [(row, why) for row in good if (why := _why_no_id(raw.ids[row]))]
    if nameless:
        unusable = {row for row, _ in nameless}
        kept = np.array([row not in unusable for row in good])
        images, good = images[kept], [row for row in good if row not in unusable]
        bad = sorted(bad + nameless)
    ids = [name for name in (raw.ids[row] for row in good) if name is not None]
    return Decoded(ids, np.array(good, np.int64) + raw.first, images, [(row + raw.first, why) for row, why in bad])


def _why_no_id(name: str | None) -> str:
    """Why a row can't be named in the output, or nothing: files may have names that are no UTF-8."""
    if name is None:
        return NO_ID
    return "" if is_unicode(name) else BROKEN_ID


def _from_array(cells: NDArray[Any]) -> tuple[Images, list[int], Bad]:
    if cells.dtype == np.uint8:
        return cells, list(range(len(cells))), []
    reasons = [f"wrong dtype: {cells.dtype}, expected uint8"] * len(cells)
    if cells.dtype.kind == "f":
        for row in np.flatnonzero(np.isnan(cells).any(axis=(1, 2))):
            reasons[row] = "NaN"
    return np.empty((0, *cells.shape[1:]), np.uint8), [], list(enumerate(reasons))


def _from_lists(cells: pa.Array, side: int) -> tuple[Images, list[int], Bad]:
    """Rows of lists of pixels, row by row of the image."""
    bad = [(int(row), "null") for row in np.flatnonzero(pc.is_null(cells).to_numpy(zero_copy_only=False))]
    lengths = pc.fill_null(pc.list_value_length(cells), -1).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((lengths >= 0) & (lengths != side**2))
    bad += [(int(row), _wrong_length(lengths[row], side)) for row in wrong]
    places = np.flatnonzero(lengths == side**2)
    values = pc.list_flatten(cells.take(pa.array(places)))
    spoilt: dict[int, str] = {}
    if values.null_count:
        holes = np.flatnonzero(pc.is_null(values).to_numpy(zero_copy_only=False)) // side**2
        spoilt = {int(row): "null pixel" for row in np.unique(holes)}
    if values.type != pa.uint8():
        spoilt = dict.fromkeys(range(len(places)), f"wrong dtype: {values.type}, expected uint8") | spoilt
        if pa.types.is_floating(values.type):
            holes = np.flatnonzero(pc.is_nan(values).to_numpy(zero_copy_only=False)) // side**2
            spoilt |= {int(row): "NaN" for row in np.unique(holes)}
        values = pa.array(np.zeros(len(values), np.uint8))
    elif spoilt:
        values = pc.fill_null(values, 0)
    images = values.to_numpy(zero_copy_only=False).reshape(-1, side, side)
    kept = np.array([row not in spoilt for row in range(len(places))], bool)
    bad += [(int(places[row]), why) for row, why in spoilt.items()]
    return images[kept], places[kept].tolist(), sorted(bad)


def _from_encoded(cells: pa.Array, side: int) -> tuple[Images, list[int], Bad]:
    images = np.empty((len(cells), side, side), np.uint8)
    good: list[int] = []
    bad: Bad = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for row, cell in enumerate(cells):
            try:
                images[len(good)] = _decoded(cell.as_buffer(), side)
                good.append(row)
            except UnusableError as error:
                bad.append((row, str(error)))
    return images[: len(good)], good, bad


def check_encoded(size: int) -> None:
    """Raise UnusableError where `size` bytes are too many for one encoded image."""
    if size > LARGEST_ENCODED:
        raise UnusableError(_too_large(size))


def _too_large(size: int) -> str:
    return f"too large: {size} bytes encoded, the limit is {LARGEST_ENCODED}"


def _wrong_length(length: int, side: int) -> str:
    return f"wrong size: {length} pixels, expected {side**2}"


def bounded(cells: pa.Array, side: int) -> tuple[pa.Array, dict[int, str]]:
    """`cells` without what is too large for an image, and why by row: null instead, so that it takes no memory."""
    kind = cells.type
    if pa.types.is_fixed_size_list(kind):
        if kind.list_size == side**2:
            return cells, {}
        rows = np.flatnonzero(pc.is_valid(cells).to_numpy(zero_copy_only=False))
        why = _wrong_length(kind.list_size, side)
        return pa.nulls(len(cells), pa.list_(kind.value_type)), dict.fromkeys(rows.tolist(), why)
    if cells.nbytes <= LARGEST_ENCODED:  # so is each of them
        return cells, {}
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    sizes = pc.fill_null(pc.list_value_length(cells) if is_list else pc.binary_length(cells), 0).to_numpy()
    large = sizes > (side**2 if is_list else LARGEST_ENCODED)
    if not large.any():
        return cells, {}
    refused = {
        int(row): _wrong_length(sizes[row], side) if is_list else _too_large(sizes[row])
        for row in np.flatnonzero(large)
    }
    return cells.take(pa.array(np.arange(len(cells)), mask=large)), refused


def _decoded(content: pa.Buffer | None, side: int) -> Images:
    """The image uint8 (side, side) in PNG or JPEG bytes; UnusableError says why there is none."""
    if content is None:
        raise UnusableError("null")
    check_encoded(content.size)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.size != (side, side):
                raise UnusableError(f"wrong size: {image.width}x{image.height}, expected {side}x{side}")
            if deep := deep_mode(image):
                raise UnusableError(f"wrong dtype: mode {deep}, expected 8 bits a channel")
            grey = opaque_grey(image)
            if grey is None:
                raise UnusableError(f"transparency: mode {image.mode}, expected an opaque image")
            return grey
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableError("wrong size: a decompression bomb") from error
    except UnusableError:
        raise
    except Exception as error:  # Pillow raises whatever it meets in a damaged file: one row must not end the job
        raise UnusableError("undecodable: expected PNG or JPEG") from error
