"""Parquet inputs: row groups are the unit of reading, and within them batches, so that memory stays flat."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.scoring.decoding import LARGEST_ENCODED, bounded
from semisynth.scoring.pieces import LONGEST_ID, Columns, Piece, Raw, made_id

READ_BYTES = 2**25  # of images in memory at a time
FEW_ROWS = 25  # at most are read before their bytes are known: the file's own sizes count a repeated image once
HELD_BYTES = 2**28  # of repeated images that are read before, and of ids
MANY_PIXELS = 2**24  # of lists in a row group, beyond those that its rows should have
MANY_IDS = 2**16
BUFFER_BYTES = 2**20
UTF8_BYTES = 4  # of a character, at most
DEFAULT_ID = "id"
FOLDED = "DELTA_BYTE_ARRAY"  # an encoding that keeps once what a value has in common with the one before
BYTES = "bytes"  # of a structure: what some data sets keep encoded images in, beside their path

Refusing = tuple[pa.RecordBatch, dict[int, str]]  # rows, and why some of them are null


def open_parquet(path: str, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    """Open the file for streaming; SemisynthError where it is none, or can't be read.

    The columns `dictionaries` come as such: each repeated value once, and indices.
    """
    try:
        return pq.ParquetFile(
            # Of a relative path, Arrow would take what comes before a colon for a scheme, as of a URL.
            str(Path(path).absolute()),
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,  # it would hold whole row groups, as threads would
            page_checksum_verification=True,
            read_dictionary=list(dictionaries),
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
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
    name = columns.id or DEFAULT_ID if piece.has_ids else None
    first = 0
    with open_parquet(piece.path) as file:
        for batch, refused in _rows(file, piece, columns.image, name, side, batch_size):
            cells = batch.column(batch.schema.get_field_index(columns.image))
            if name is None:
                ids = [made_id(piece.path, piece.start + first + row) for row in range(len(batch))]
            else:
                ids = _names(batch.column(batch.schema.get_field_index(name))).tolist()
            yield Raw(first, ids, cells, refused)
            first += len(batch)


def _rows(
    file: pq.ParquetFile, piece: Piece, image: str, name: str | None, side: int, batch_size: int
) -> Iterator[Refusing]:
    """Yield the piece's rows, some at a time; those of row groups that hold far too much without their images."""
    start, leaf = piece.start, _leaf_of(file, image)
    path, is_list = file.schema.column(leaf).path, file.schema.column(leaf).max_repetition_level > 0
    ids = [] if name is None else [name]
    groups_by_reason = itertools.groupby(piece.groups, key=lambda group: _why_unread(file, group, leaf, side))
    for why, some in groups_by_reason:
        groups = list(some)
        rows = sum(file.metadata.row_group(group).num_rows for group in groups)
        if why:
            yield from _without_images(file, piece.path, image, ids, groups, (start, rows, batch_size), why)
        else:
            few = FEW_ROWS if is_list else _few(file, piece.path, image, leaf, groups, start)
            few = min(few, batch_size)
            batches = _batches(file, piece.path, [image if is_list else path, *ids], few, groups, start)
            yield from _joined((_bounded(batch, image, side) for batch in batches), batch_size)
        start += rows


def _without_images(
    file: pq.ParquetFile,
    path: str,
    image: str,
    ids: list[str],
    groups: list[int],
    place: tuple[int, int, int],
    why: str,
) -> Iterator[Refusing]:
    """Yield the rows of some groups with null for every image, and why that is so."""
    start, rows, most = place
    if ids:
        lengths_and_ids = ((len(batch), batch.columns) for batch in _batches(file, path, ids, most, groups, start))
    else:
        lengths_and_ids = ((min(most, rows - first), []) for first in range(0, rows, most))
    for length, column in lengths_and_ids:
        nothing = pa.nulls(length, pa.binary())
        yield pa.RecordBatch.from_arrays([nothing, *column], [image, *ids]), dict.fromkeys(range(length), why)


def _leaf_of(file: pq.ParquetFile, image: str) -> int:
    """Which of the file's columns holds what the images are made of: bytes, or values of lists."""
    paths = [file.schema.column(leaf).path for leaf in range(len(file.schema))]
    kind = file.schema_arrow.field(image).type
    if _is_list(kind):
        inside = (leaf for leaf, path in enumerate(paths) if path.startswith(f"{image}."))
        return next(leaf for leaf in inside if file.schema.column(leaf).max_repetition_level > 0)
    return paths.index(f"{image}.{BYTES}" if pa.types.is_struct(kind) else image)


def _why_unread(file: pq.ParquetFile, group: int, leaf: int, side: int) -> str:
    """Why the images of a row group are not read, or nothing: it says that they take far more than images do.

    What one row of them would take is told nowhere.
    """
    rows, cells = file.metadata.row_group(group).num_rows, file.metadata.row_group(group).column(leaf)
    is_list = file.schema.column(leaf).max_repetition_level > 0
    if is_list and cells.num_values > rows * side**2 + MANY_PIXELS:
        return f"wrong size: {cells.num_values} pixels in a row group of {rows}, expected {side**2} in each"
    if not is_list and cells.total_uncompressed_size > max(rows * LARGEST_ENCODED, READ_BYTES):
        return f"too large: {cells.total_uncompressed_size} bytes in a row group of {rows} rows"
    return ""


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
    """Yield the column of ids as strings, some at a time, without nulls.

    SemisynthError where some are longer than LONGEST_ID characters may be.
    """
    name = columns.id or DEFAULT_ID
    start = 0
    with open_parquet(path) as file, open_parquet(path, [name]) as repeated:
        leaf = [file.schema.column(leaf).path for leaf in range(len(file.schema))].index(name)
        for group in range(file.metadata.num_row_groups):
            rows, column = file.metadata.row_group(group).num_rows, file.metadata.row_group(group).column(leaf)
            _check_length(path, name, _longest_repeated(repeated, path, name, leaf, group, start))
            fitting = HELD_BYTES * rows // max(column.total_uncompressed_size, 1)
            most = FEW_ROWS if FOLDED in column.encodings else fitting
            for batch in _batches(file, path, [name], max(1, min(MANY_IDS, most)), [group], start):
                ids = batch.column(0).drop_null()
                if not pa.types.is_integer(ids.type):
                    _check_length(path, name, _longest(ids))
                yield _names(ids)
            start += rows


def _check_length(path: str, name: str, longest: int) -> None:
    most = LONGEST_ID * UTF8_BYTES
    if longest > most:
        raise SemisynthError(f"{path}: column `{name}` must hold {most} bytes a row at most, received {longest}")


def _few(file: pq.ParquetFile, path: str, image: str, leaf: int, groups: list[int], start: int) -> int:
    """How many rows of encoded images may be read before their bytes are known."""
    if any(FOLDED in file.metadata.row_group(group).column(leaf).encodings for group in groups):
        return 1
    with open_parquet(path, [file.schema.column(leaf).path]) as repeated:
        longest = max(_longest_repeated(repeated, path, image, leaf, group, start) for group in groups)
    return max(1, min(FEW_ROWS, HELD_BYTES // max(longest, 1)))


def _longest_repeated(repeated: pq.ParquetFile, path: str, field: str, leaf: int, group: int, start: int) -> int:
    """Bytes of the longest value of a binary column that a row group keeps once for all rows that have it.

    `repeated` was opened with this column as a dictionary: the group's first row, number `start` of the file,
    comes with all of these.
    """
    if not repeated.metadata.row_group(group).column(leaf).has_dictionary_page:
        return 0
    first = next(_batches(repeated, path, [repeated.schema.column(leaf).path], 1, [group], start), None)
    values = None if first is None else _unwrapped(first.column(first.schema.get_field_index(field)))
    return _longest(values) if values is not None and pa.types.is_dictionary(values.type) else 0


def _longest(values: pa.Array) -> int:
    """Bytes of the longest of binary values or strings."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary
    return pc.max(pc.binary_length(values)).as_py() or 0


def _names(ids: pa.Array) -> NDArray[np.object_]:
    """Ids as strings, None for null. Bytes that are no UTF-8 are lone surrogates, as in the names of files."""
    if pa.types.is_dictionary(ids.type):
        names = np.append(_names(ids.dictionary), [None])  # the last for null, where the index is -1
        chosen: NDArray[np.object_] = names[pc.fill_null(ids.indices, -1).to_numpy(zero_copy_only=False)]
        return chosen
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
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
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
    """The bytes of a structure."""
    return pc.struct_field(cells, BYTES) if pa.types.is_struct(cells.type) else cells


def _inner(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind) and kind.get_field_index(BYTES) >= 0:
        return kind.field(BYTES).type
    return kind


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)  # type: ignore[no-any-return]


def _is_list(kind: pa.DataType) -> bool:
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return lists and pa.types.is_primitive(kind.value_type)  # type: ignore[no-any-return]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
