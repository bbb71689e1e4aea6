"""Parquet inputs: row groups are the unit of reading, and within them batches, so that memory stays flat."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from semisynth.errors import SemisynthError
from semisynth.scoring.pieces import Columns, Piece, Raw, made_id

READ_BYTES = 2**25  # of images in memory at a time
FEW_ROWS = 25  # are read before their bytes are known: the file's own sizes count a repeated image once
BUFFER_BYTES = 2**20
DEFAULT_ID = "id"


def open_parquet(path: str) -> pq.ParquetFile:
    """Open the file for streaming; SemisynthError where it is none."""
    try:
        # Without pre-buffering and threads: both would hold whole row groups.
        return pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise SemisynthError(f"{path}: not a whole Parquet file ({_line(error)})") from error


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


def read_parquet(piece: Piece, columns: Columns, batch_size: int) -> Iterator[Raw]:
    """Yield the piece's rows, at most `batch_size` and about 32 MiB at a time."""
    wanted = [columns.image, *([columns.id or DEFAULT_ID] if piece.has_ids else [])]
    first = 0
    with open_parquet(piece.path) as file:
        few = _batches(file, piece.path, wanted, min(FEW_ROWS, batch_size), list(piece.groups), piece.start)
        for batch in _joined(few, batch_size):
            cells = batch.column(batch.schema.get_field_index(columns.image))
            if piece.has_ids:
                ids = pc.cast(batch.column(batch.schema.get_field_index(wanted[1])), pa.string()).to_pylist()
            else:
                ids = [made_id(piece.path, piece.start + first + row) for row in range(len(batch))]
            yield Raw(first, ids, _unwrapped(cells))
            first += len(batch)


def _joined(batches: Iterator[pa.RecordBatch], most_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield neighbours as one, as long as they have no more than `most_rows` and READ_BYTES."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if held and (rows + len(batch) > most_rows or size + batch.nbytes > READ_BYTES):
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
        held.append(batch)
        rows, size = rows + len(batch), size + batch.nbytes
    if held:
        yield pa.concat_batches(held)


def id_batches(path: str, columns: Columns) -> Iterator[pa.Array]:
    """Yield the column of ids as strings, a batch at a time."""
    name = columns.id or DEFAULT_ID
    with open_parquet(path) as file:
        for batch in _batches(file, path, [name], 2**16):
            yield pc.cast(batch.column(0), pa.string())


def _batches(
    file: pq.ParquetFile, path: str, wanted: list[str], count: int, groups: list[int] | None = None, row: int = 0
) -> Iterator[pa.RecordBatch]:
    """Yield `count` rows at a time of the row groups, all by default; SemisynthError where they are damaged."""
    try:
        for batch in file.iter_batches(count, groups, wanted, use_threads=False):
            yield batch
            row += len(batch)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise SemisynthError(f"{path}: damaged near row {row} ({_line(error)})") from error


def _check_columns(path: str, schema: pa.Schema, columns: Columns) -> bool:
    """Check both columns; return whether there are ids."""
    if columns.image not in schema.names:
        raise SemisynthError(f"{path}: column `{columns.image}` is missing, found {', '.join(schema.names)}")
    kind = schema.field(columns.image).type
    if not (_is_binary(_inner(kind)) or _is_list(kind)):
        raise SemisynthError(
            f"{path}: column `{columns.image}` must hold PNG or JPEG bytes or lists of uint8, received {kind}"
        )
    if columns.id is None and DEFAULT_ID not in schema.names:
        return False
    name = columns.id or DEFAULT_ID
    if name not in schema.names:
        raise SemisynthError(f"{path}: column `{name}` is missing, found {', '.join(schema.names)}")
    kind = schema.field(name).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise SemisynthError(f"{path}: column `{name}` must hold strings or integers, received {kind}")
    return True


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
