"""NPZ and IDX inputs, read row by row from a stream, so that no array is ever whole in memory."""

import errno
import gzip
import math
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import numpy as np
from numpy.typing import NDArray

from semisynth.data.idx import GZIP_MAGIC, IMAGES_MAGIC
from semisynth.errors import SemisynthError
from semisynth.files import DAMAGED_ARRAY
from semisynth.scoring.pieces import LONGEST_ID, Columns, Kind, Piece, Raw, made_id

IDX_HEADER = 16  # bytes: magic number and three sizes
IMAGES, IDS = "images", "ids"
BLOCK = 2**20  # bytes
MOST_PACKED = 1032  # bytes that one byte of DEFLATE can stand for
PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what `numpy.savez` and `savez_compressed` write
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, struct.error, NotImplementedError)


class RowStream:
    """Rows of one array in a stream that may be packed: reading forward is linear, and holds what is asked."""

    def __init__(
        self,
        path: str,
        name: str,
        stream: BinaryIO,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype
        self._stream, self._start = stream, stream.tell()
        self._row_bytes = math.prod(shape[1:]) * dtype.itemsize

    def check_promise(self, most: int) -> None:
        """Raise SemisynthError where the header promises more than the `most` bytes that can be in the stream."""
        promised = self._start + self.shape[0] * self._row_bytes if self.shape else 0
        if promised > most:
            raise SemisynthError(
                f"{self.path}: `{self.name}` of shape {self.shape} takes {promised} bytes, "
                f"the file ends before: {most} at most"
            )

    def check_whole(self) -> None:
        """Read all of it; SemisynthError where it is damaged, ends early, or goes on after its last row.

        The digests of packed files come at their end: without this, damaged rows would have been scored before.
        """
        left = math.prod(self.shape[:1]) * self._row_bytes
        with damage_named(self.path):
            while left >= 0 and (block := self._stream.read(min(BLOCK, max(left, 1)))):
                left -= len(block)
        if left < 0:
            raise SemisynthError(
                f"{self.path}: `{self.name}` goes on after the {self.shape[0]} rows that its header promises"
            )
        if left:
            raise SemisynthError(f"{self.path}: `{self.name}` ends before the last of {self.shape[0]} rows")

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Rows `start` to `start + count`; SemisynthError where the file ends before."""
        with damage_named(self.path):
            self._stream.seek(self._start + start * self._row_bytes)
            content = self._stream.read(count * self._row_bytes)
        if len(content) != count * self._row_bytes:
            raise SemisynthError(
                f"{self.path}: `{self.name}` ends before row {start + count} of {self.shape[0]} that it promises"
            )
        return np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])


class ArrayFile:
    """An open NPZ or IDX file: its images, and its ids where it has any."""

    def __init__(self, path: str, kind: Kind, stack: ExitStack) -> None:
        self.path, self._stack = path, stack
        self.images, self.ids = self._open_npz() if kind == "npz" else (self._open_idx(), None)
        if len(self.images.shape) != 3 or self.images.shape[0] < 0 or min(self.images.shape[1:]) < 1:
            raise SemisynthError(
                f"{path}: images of shape (n, height, width) expected, received {self.images.shape}"
            )

    @classmethod
    @contextmanager
    def opened(cls, path: str, kind: Kind) -> Iterator[Self]:
        """Open `path`; SemisynthError where it is damaged or lacks images."""
        with ExitStack() as stack:
            with damage_named(path):
                file = cls(path, kind, stack)
            yield file

    def _open_npz(self) -> tuple[RowStream, RowStream | None]:
        archive = self._stack.enter_context(zipfile.ZipFile(self.path))
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if IMAGES not in names:
            raise SemisynthError(f"{self.path}: array `{IMAGES}` is missing, found {', '.join(names) or 'none'}")
        images = self._open_member(archive, IMAGES)
        if IDS not in names:
            return images, None
        ids = self._open_member(archive, IDS)
        if len(ids.shape) != 1 or ids.shape[0] != images.shape[0] or ids.dtype.kind not in "iuU":
            raise SemisynthError(
                f"{self.path}: `{IDS}` must be {images.shape[0]} strings or integers, one an image, "
                f"received {ids.dtype} of shape {ids.shape}"
            )
        if ids.dtype.itemsize > LONGEST_ID * np.dtype("U1").itemsize:
            raise SemisynthError(
                f"{self.path}: `{IDS}` must have {LONGEST_ID} characters at most, received {ids.dtype}"
            )
        return images, ids

    def _open_member(self, archive: zipfile.ZipFile, name: str) -> RowStream:
        entry = archive.getinfo(f"{name}.npy")
        if entry.flag_bits & 1 or entry.compress_type not in PLAIN_METHODS:
            how = "encrypted" if entry.flag_bits & 1 else f"packed by method {entry.compress_type}"
            raise SemisynthError(f"{self.path}: `{name}` is {how}, expected it stored or deflated, as NumPy does")
        stream = cast(BinaryIO, self._stack.enter_context(archive.open(entry)))
        try:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):  # later ones are for structures, and their headers may be as long as 4 GiB
                raise ValueError(f"version {version[0]}.{version[1]}, expected 1.0")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        except DAMAGED_ARRAY as error:
            raise SemisynthError(f"{self.path}: `{name}` is not an array in NumPy's format ({error})") from error
        if dtype.hasobject or fortran:
            kind = "pickled objects" if dtype.hasobject else "columns before rows"
            raise SemisynthError(f"{self.path}: `{name}` holds {kind}, expected rows of plain numbers")
        if not dtype.itemsize:
            raise SemisynthError(
                f"{self.path}: `{name}` holds values of no size ({dtype}), expected plain numbers"
            )
        rows = RowStream(self.path, name, stream, shape, dtype)
        rows.check_promise(min(entry.file_size, MOST_PACKED * Path(self.path).stat().st_size))
        return rows

    def _open_idx(self) -> RowStream:
        raw = self._stack.enter_context(Path(self.path).open("rb"))  # noqa: SIM115, the stack closes it
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        stream = cast(BinaryIO, self._stack.enter_context(gzip.GzipFile(fileobj=raw))) if packed else raw
        magic, *shape = struct.unpack(">4I", stream.read(IDX_HEADER))
        if magic != IMAGES_MAGIC:
            raise SemisynthError(
                f"{self.path}: magic number {IMAGES_MAGIC} of IDX images expected, received {magic}"
            )
        rows = RowStream(self.path, IMAGES, stream, tuple(shape), np.dtype(np.uint8))
        rows.check_promise(Path(self.path).stat().st_size * (MOST_PACKED if packed else 1))
        return rows


@contextmanager
def damage_named(path: str) -> Iterator[None]:
    """Turn what zip, gzip and their like raise for damaged files into a SemisynthError that names the file."""
    try:
        yield
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # a wrong offset ends in EINVAL
            raise
        raise SemisynthError(f"{path}: not a whole file ({' '.join(str(error).split())})") from error


def survey_arrays(path: str, kind: Kind, columns: Columns, rows_per_part: int) -> list[Piece]:
    """The file's pieces of `rows_per_part` rows; SemisynthError where an array is missing or can't be read."""
    with ArrayFile.opened(path, kind) as file:
        for rows in filter(None, (file.images, file.ids)):
            rows.check_whole()
        count, has_ids = file.images.shape[0], file.ids is not None
    if columns.id is not None and not has_ids:
        raise SemisynthError(f"{path}: ids are asked for (`{columns.id}`), and the file has no array `{IDS}`")
    return [
        Piece(-1, kind, path, start, min(rows_per_part, count - start), has_ids=has_ids)
        for start in range(0, count, rows_per_part)
    ]


def read_arrays(file: ArrayFile, piece: Piece, side: int, batch_size: int) -> Iterator[Raw]:
    """Yield the piece's rows, `batch_size` at a time. Images of another size or kind are not read at all."""
    shape, dtype = file.images.shape[1:], file.images.dtype
    refused = None if shape == (side, side) else f"wrong size: {shape[1]}x{shape[0]}, expected {side}x{side}"
    if dtype != np.uint8 and dtype.kind != "f":  # floats are read: NaN is told apart
        refused = refused or f"wrong dtype: {dtype}, expected uint8"
    for first in range(0, piece.rows, batch_size):
        start, count = piece.start + first, min(batch_size, piece.rows - first)
        yield Raw(first, ids_of(file, piece.path, start, count), refused or file.images.read(start, count))


def ids_of(file: ArrayFile | None, path: str, start: int, count: int) -> list[str]:
    """The ids of rows `start` to `start + count` of the file at `path`: made ones where it has none."""
    if file is None or file.ids is None:
        return [made_id(path, row) for row in range(start, start + count)]
    values = file.ids.read(start, count)
    if values.dtype.kind == "U":
        points = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if points.max(initial=0) > sys.maxunicode:
            raise SemisynthError(f"{path}: `{IDS}` of rows {start} to {start + count - 1} hold no Unicode text")
    return [str(value) for value in values]
