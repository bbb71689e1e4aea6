"""Images in Parquet: pieces are runs of row groups, and far too large cells are not read."""

import itertools
from collections.abc import Iterator, Sequence

import pyarrow as pa

from semisynth.errors import SemisynthError
from semisynth.scoring.decoding import LARGEST_ENCODED, bounded
from semisynth.scoring.parquet_ids import ids_as_strings
from semisynth.scoring.pieces import READ_BYTES, Columns, Piece, Raw, made_id
from semisynth.scoring.row_groups import (
    BYTES,
    FOLDED,
    Column,
    RowGroups,
    is_list,
    longest_repeated,
    open_parquet,
    stored_column,
    unwrapped,
)

FEW_ROWS = 25  # at most are read before their bytes are known: the file's own sizes count a repeated image once
HELD_BYTES = 2**28  # of repeated images that are read before
MANY_PIXELS = 2**24  # of lists in a row group, beyond those that its rows should have
DEFAULT_ID = "id"

Refusing = tuple[pa.RecordBatch, dict[int, str]]  # rows, and why some of them are null


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
    id_name = id_column(columns) if piece.has_ids else None
    first = 0  # of the batch, in the piece
    with open_parquet(piece.path) as file:
        images, ids = stored_column(file, columns.image), [] if id_name is None else [id_name]
        for why, groups in _judged(RowGroups(piece.path, file, piece.groups, piece.start), images, side):
            if why:
                batches = _without_images(groups, images, ids, batch_size, why)
            else:
                batches = _with_images(groups, images, ids, batch_size, side)
            for batch, refused in batches:
                yield Raw(first, _names(batch, id_name, piece, first), _cells(batch, images), refused)
                first += len(batch)


def id_column(columns: Columns) -> str:
    """The name of the column of ids, in a file that has one."""
    return columns.id or DEFAULT_ID


def _names(batch: pa.RecordBatch, id_name: str | None, piece: Piece, first: int) -> Sequence[str | None]:
    """The rows' ids; made ones where no column holds them."""
    if id_name is None:
        return [made_id(piece.path, piece.start + first + row) for row in range(len(batch))]
    names: list[str | None] = ids_as_strings(batch.column(batch.schema.get_field_index(id_name))).tolist()
    return names


def _judged(groups: RowGroups, images: Column, side: int) -> Iterator[tuple[str, RowGroups]]:
    """Yield neighbours that are read alike, and why their images are not read, or nothing."""
    for why, some in itertools.groupby(groups.each(), key=lambda group: _why_unread(group, images, side)):
        alike = list(some)
        numbers = tuple(number for group in alike for number in group.numbers)
        yield why, RowGroups(groups.path, groups.file, numbers, alike[0].start)


def _why_unread(group: RowGroups, images: Column, side: int) -> str:
    """Why the images of a row group are not read, or nothing: it says that they take far more than images do.

    What one row of them would take is told nowhere.
    """
    rows, footer = group.rows, group.footers(images)[0]
    if images.is_list and footer.num_values > rows * side**2 + MANY_PIXELS:
        return f"wrong size: {footer.num_values} pixels in a row group of {rows}, expected {side**2} in each"
    if not images.is_list and footer.total_uncompressed_size > max(rows * LARGEST_ENCODED, READ_BYTES):
        return f"too large: {footer.total_uncompressed_size} bytes in a row group of {rows} rows"
    return ""


def _without_images(
    groups: RowGroups, images: Column, ids: list[str], batch_size: int, why: str
) -> Iterator[Refusing]:
    """Yield the rows with null for every image, and why that is so."""
    if ids:
        lengths_and_ids = ((len(batch), batch.columns) for batch in groups.batches(ids, batch_size))
    else:
        rows = groups.rows
        lengths_and_ids = ((min(batch_size, rows - first), []) for first in range(0, rows, batch_size))
    for length, names in lengths_and_ids:
        batch = pa.RecordBatch.from_arrays([pa.nulls(length, pa.binary()), *names], [images.name, *ids])
        yield batch, dict.fromkeys(range(length), why)


def _with_images(
    groups: RowGroups, images: Column, ids: list[str], batch_size: int, side: int
) -> Iterator[Refusing]:
    """Yield the rows, and why the images of some are null."""
    few = min(FEW_ROWS if images.is_list else _few(groups, images), batch_size)
    wanted = [images.name if images.is_list else images.path, *ids]
    return _joined((_bounded(batch, images, side) for batch in groups.batches(wanted, few)), batch_size)


def _few(groups: RowGroups, images: Column) -> int:
    """How many rows of encoded images may be read before their bytes are known."""
    if any(FOLDED in footer.encodings for footer in groups.footers(images)):
        return 1
    return max(1, min(FEW_ROWS, HELD_BYTES // max(longest_repeated(groups, images), 1)))


def _cells(batch: pa.RecordBatch, images: Column) -> pa.Array:
    return batch.column(batch.schema.get_field_index(images.name))


def _bounded(batch: pa.RecordBatch, images: Column, side: int) -> Refusing:
    """The batch with null in place of cells that are too large, and why they are, by row."""
    given = _cells(batch, images)
    cells, refused = bounded(unwrapped(given), side)
    if cells is given:
        return batch, refused
    at = batch.schema.get_field_index(images.name)
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


def _check_columns(path: str, schema: pa.Schema, columns: Columns) -> bool:
    """Check both columns; return whether there are ids."""
    kind = _type_of(path, schema, columns.image)
    if not (_is_binary(_inner(kind)) or is_list(kind)):
        raise SemisynthError(
            f"{path}: column `{columns.image}` must hold PNG or JPEG bytes or lists of uint8, received {kind}"
        )
    if columns.id is None and DEFAULT_ID not in schema.names:
        return False
    name = id_column(columns)
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


def _inner(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind) and kind.get_field_index(BYTES) >= 0:
        return kind.field(BYTES).type
    return kind


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)  # type: ignore[no-any-return]
