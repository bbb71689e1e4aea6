"""Parquet inputs: row groups are the unit of reading, and within them batches, so that memory stays flat."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.scoring.decoding import bounded
from semisynth.scoring.pieces import Columns, Piece, Raw, made_id

READ_BYTES = 2**25  # of images in memory at a time
FEW_ROWS = 25  # at most are read before their bytes are known: the file's own sizes count a repeated image once
MANY_IDS = 2**16
BUFFER_BYTES = 2**20
DEFAULT_ID = "id"

Refusing = tuple[pa.RecordBatch, dict[int, str]]  # rows, and why some of them are null


def open_parquet(path: str) -> pq.ParquetFile:
    """Open the file for streaming; SemisynthError where it is none, or can't be read."""
    try:
        # Of a relative path, Arrow would take what comes before a colon for a scheme, as of a URL.
        # Without pre-buffering and threads: both would hold whole row groups.
        return pq.ParquetFile(str(Path(path).absolute()), buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise SemisynthError(f"{path}: {os.strerror(error.errno)}") from error
        raise SemisynthError(f"{path}: not a whole Parquet file ({_line(error)})") from error
    except UnicodeEncodeError as error:
        raise SemisynthError(f"{path!r}: expected a path in UTF-8, as Arrow opens no other; rename it") from error


def survey_parquet(path: str, columns: Columns, rows_per_part: int) -> list[Piece]:
    """The file's pieces: runs of whole row groups of about `rows_per_part` rows; indices are set by the caller.

    SemisynthError where a column is missing or of a type that can't hold images or ids.
    """
    with open_parquet(path) as file:
        has_ids = _check_columns(path, file.schema_arrow, columns)
        counts = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    pieces: list[Piece] = []
    first, start = 0, 0
    while first < len(counts):
        last, rows = first + 1, counts[first]
        while last < len(counts) and rows + counts[last] <= rows_per_part:
            rows, last = rows + counts[last], last + 1
        pieces.append(Piece(-1, "parquet", path, start, rows, groups=tuple(range(first, last)), has_ids=has_ids))
        first, start = last, start + rows
    return pieces


def read_parquet(piece: Piece, columns: Columns, side: int, batch_size: int) -> Iterator[Raw]:
    """Yield the piece's rows, at most `batch_size` and about 32 MiB at a time; too large cells as null."""
    wanted = [columns.image, *([columns.id or DEFAULT_ID] if piece.has_ids else [])]
    first = 0
    with open_parquet(piece.path) as file:
        few = _batches(file, piece.path, wanted, min(FEW_ROWS, batch_size), list(piece.groups), piece.start)
        for batch, refused in _joined((_bounded(one, columns.image, side) for one in few), batch_size):
            cells = batch.column(batch.schema.get_field_index(columns.image))
            if piece.has_ids:
                ids = _names(batch.column(batch.schema.get_field_index(wanted[1]))).tolist()
            else:
                ids = [made_id(piece.path, piece.start + first + row) for row in range(len(batch))]
            yield Raw(first, ids, cells, refused)
            first += len(batch)


def _bounded(batch: pa.RecordBatch, image: str, side: int) -> Refusing:
    """The batch with null in place of cells that are too large, and why they are, by row."""
    at = batch.schema.get_field_index(image)
    given = batch.column(at)
    cells, refused = bounded(_unwrapped(given), side)
    if cells is given:
        return batch, refused
    return batch.set_column(at, batch.schema.field(at).with_type(cells.type), cells), refused


def _joined(batches: Iterator[Refusing], most_rows: int) -> Iterator[Refusing]:
    """Yield neighbours as one, as long as they have no more than `most_rows` and READ_BYTES."""
    held: list[pa.RecordBatch] = []
    refused: dict[int, str] = {}
    rows = size = 0
    for batch, why in batches:
        more = batch.nbytes
        if held and (rows + len(batch) > most_rows or size + more > READ_BYTES):
            yield pa.concat_batches(held), refused
            held, refused, rows, size = [], {}, 0, 0
        held.append(batch)
        refused |= {rows + row: reason for row, reason in why.items()}
        rows, size = rows + len(batch), size + more
    if held:
        yield pa.concat_batches(held), refused


def id_batches(path: str, columns: Columns) -> Iterator[NDArray[np.object_]]:
    """Yield the column of ids as strings, some at a time, without nulls."""
    name = columns.id or DEFAULT_ID
    with open_parquet(path) as file:
        for batch in _batches(file, path, [name], MANY_IDS):
            yield _names(batch.column(0).drop_null())


def _names(ids: pa.Array) -> NDArray[np.object_]:
    """Ids as strings, None for null. Bytes that are no UTF-8 are lone surrogates, as in the names of files."""
    if pa.types.is_integer(ids.type):
        ids = pc.cast(ids, pa.string())
    try:
        ids.validate(full=True)
    except pa.ArrowInvalid:
        raw = pc.cast(ids, pa.large_binary()).to_pylist()
        return np.array([None if name is None else name.decode(errors="surrogateescape") for name in raw], object)
    return ids.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _batches(
    file: pq.ParquetFile, path: str, wanted: list[str], most: int, groups: list[int] | None = None, start: int = 0
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the row groups, all by default; SemisynthError where they are damaged.

    At first one, then twice as many each time, until they are `most` at a time, or fewer where they are large.
    """
    count, done = 1, 0
    try:
        for batch in file.iter_batches(count, groups, wanted, use_threads=False):
            yield batch
            done += len(batch)
            fitting = READ_BYTES * len(batch) // max(2 * batch.nbytes, 1)
            count = max(1, min(2 * count, fitting, most))
            file.reader.set_batch_size(min(count, most - done % most))  # multiples of `most` join to full batches
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise SemisynthError(f"{path}: damaged near row {start + done} ({_line(error)})") from error


def _check_columns(path: str, schema: pa.Schema, columns: Columns) -> bool:
    """Check both columns; return whether there are ids."""
    kind = _type_of(path, schema, columns.image)
    if not (_is_binary(_inner(kind)) or _is_list(kind)):
        raise SemisynthError(
            f"{path}: column `{columns.image}` must hold PNG or JPEG bytes or lists of uint8, received {kind}"
        )
    if columns.id is None and DEFAULT_ID not in schema.names:
        return False
    name = columns.id or DEFAULT_ID
    kind = _type_of(path, schema, name)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise SemisynthError(f"{path}: column `{name}` must hold strings or integers, received {kind}")
    return True


def _type_of(path: str, schema: pa.Schema, name: str) -> pa.DataType:
    """The type of a column; SemisynthError unless there is one of that name."""
    if name not in schema.names:
        raise SemisynthError(f"{path}: column `{name}` is missing, found {', '.join(schema.names)}")
    if (count := schema.names.count(name)) > 1:
        raise SemisynthError(f"{path}: one column `{name}` expected, received {count}")
    return schema.field(name).type


def _unwrapped(cells: pa.Array) -> pa.Array:
    """The `bytes` of a structure, in which some data sets keep encoded images beside their path."""
    return pc.struct_field(cells, "bytes") if pa.types.is_struct(cells.type) else cells


def _inner(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return kind.field("bytes").type
    return kind


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)  # type: ignore[no-any-return]


def _is_list(kind: pa.DataType) -> bool:
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return lists and pa.types.is_primitive(kind.value_type)  # type: ignore[no-any-return]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
