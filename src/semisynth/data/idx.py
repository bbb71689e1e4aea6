"""IDX files, the format of MNIST: unsigned bytes behind a short header, plain or packed with gzip.

The format: http://yann.lecun.com/exdb/mnist/
"""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.files import replacing_file

# MNIST's own names; `.gz` follows where a file is packed
TRAIN_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_PAYLOAD = 2**30  # bytes, unpacked: over twenty times MNIST


def read_images(path: Path) -> NDArray[np.uint8]:
    """Read the images of an IDX file: uint8 (n, rows, columns), read-only.

    No more is unpacked than the header promises. SemisynthError names the file where the magic number is not
    2051, where bytes are missing or left over, or where the file is damaged.
    """
    return _parsed(path, IMAGES_MAGIC)


def read_labels(path: Path) -> NDArray[np.int64]:
    """Read the labels of an IDX file (magic number 2049): int64 (n,). Errors as in `read_images`."""
    return _parsed(path, LABELS_MAGIC).astype(np.int64)


def read_pair(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (n, rows, columns) and their labels int64 (n,); SemisynthError where the counts differ."""
    pair = read_images(images), read_labels(labels)
    if len(pair[0]) != len(pair[1]):
        raise SemisynthError(f"{labels}: expected {len(pair[0])} labels, one an image, received {len(pair[1])}")
    return pair


def read_payload(path: Path) -> bytes:
    """Read the whole unpacked file, header included, after the same checks as in `read_images`."""
    with _unpacked(path) as stream:
        header, shape = _read_header(path, stream)
        size = math.prod(shape)
        body = stream.read(size + 1)  # one byte more shows that something is left over; it also checks the CRC
    if len(body) != size:
        found = f"more than {size}" if len(body) > size else str(len(body))
        raise SemisynthError(f"{path}: the header promises {size} bytes for shape {shape}, received {found}")
    return header + body


def write_idx(path: Path, array: NDArray[np.integer]) -> None:
    """Write images (n, rows, columns) or labels (n,), values 0 to 255; packed if `path` ends in `.gz`.

    The file is written whole or not at all, and equal arrays give equal bytes.
    """
    if array.ndim not in (1, 3) or array.size == 0 or array.min() < 0 or array.max() > 255:
        raise SemisynthError(f"{path}: expected (n,) or (n, rows, columns) of 0 to 255, received {array.shape}")
    header = struct.pack(f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape)
    payload = header + array.astype(np.uint8).tobytes()
    with replacing_file(path) as temporary:
        temporary.write_bytes(gzip.compress(payload, mtime=0) if path.suffix == ".gz" else payload)


def _parsed(path: Path, magic: int) -> NDArray[np.uint8]:
    payload = read_payload(path)
    (found,) = struct.unpack_from(">I", payload)
    if found != magic:
        raise SemisynthError(f"{path}: expected magic number {magic}, received {found}")
    dimensions = magic - 2048
    shape = struct.unpack_from(f">{dimensions}I", payload, 4)
    return np.frombuffer(payload, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open `path`, to be unpacked on the way if it is a gzip file, whatever its name."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
    except FileNotFoundError:
        raise SemisynthError(f"{path}: no such file, expected an IDX file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SemisynthError(f"{path}: not a whole gzip file ({error})") from error


def _read_header(path: Path, stream: BinaryIO) -> tuple[bytes, tuple[int, ...]]:
    start = stream.read(4)
    magic = int.from_bytes(start, "big")
    if len(start) < 4 or magic not in (IMAGES_MAGIC, LABELS_MAGIC):
        raise SemisynthError(
            f"{path}: expected an IDX file with magic number {IMAGES_MAGIC} (images) or {LABELS_MAGIC} (labels), "
            f"received the bytes {start.hex(' ') or 'of an empty file'}"
        )
    dimensions = magic - 2048
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise SemisynthError(
            f"{path}: the header ends after {4 + len(sizes)} bytes, expected {4 + 4 * dimensions}"
        )
    shape = struct.unpack(f">{dimensions}I", sizes)
    if not 0 < math.prod(shape) <= LARGEST_PAYLOAD:
        raise SemisynthError(f"{path}: the header promises shape {shape}, expected 1 to {LARGEST_PAYLOAD} bytes")
    return start + sizes, shape
