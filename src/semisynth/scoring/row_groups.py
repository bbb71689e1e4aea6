"""Parquet files as they are stored: row groups, and within them batches, so that memory stays flat."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from semisynth.errors import SemisynthError
from semisynth.scoring.pieces import READ_BYTES

BUFFER_BYTES = 2**20
FOLDED = "DELTA_BYTE_ARRAY"  # an encoding that keeps once what a value has in common with the one before
BYTES = "bytes"  # of a structure: what some data sets keep encoded images in, beside their path


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


@dataclass(frozen=True)
class Column:
    """A column of a table, and where the file stores its values.

    `name`: in the table. `leaf` and `path`: number and name among the columns as they are stored, where each field
    of a structure has its own. `is_list`: a value is one of many in a cell.
    """

    name: str
    leaf: int
    path: str
    is_list: bool


def stored_column(file: pq.ParquetFile, name: str) -> Column:
    """Where the file stores the column: bytes, the field BYTES of a structure, or what its lists hold."""
    kind = file.schema_arrow.field(name).type
    leaves = [file.schema.column(leaf) for leaf in range(len(file.schema))]
    if is_list(kind):
        inside = (leaf for leaf, stored in enumerate(leaves) if stored.path.startswith(f"{name}."))
        leaf = next(leaf for leaf in inside if leaves[leaf].max_repetition_level > 0)
    else:
        path = f"{name}.{BYTES}" if pa.types.is_struct(kind) else name
        leaf = [stored.path for stored in leaves].index(path)
    return Column(name, leaf, leaves[leaf].path, is_list(kind))


@dataclass(frozen=True)
class RowGroups:
    """Neighbouring row groups of an open file; `start` is the number of their first row in the file."""

    path: str
    file: pq.ParquetFile
    numbers: tuple[int, ...]
    start: int

    @property
    def rows(self) -> int:
        """How many rows they have together."""
        return sum(self.file.metadata.row_group(number).num_rows for number in self.numbers)

    def each(self) -> Iterator["RowGroups"]:
        """Yield one at a time."""
        start = self.start
        for number in self.numbers:
            one = RowGroups(self.path, self.file, (number,), start)
            yield one
            start += one.rows

    def footers(self, column: Column) -> list[Any]:
        """What each row group's footer tells of the column: pyarrow.parquet.ColumnChunkMetaData."""
        return [self.file.metadata.row_group(number).column(column.leaf) for number in self.numbers]

    def batches(self, wanted: Sequence[str], most: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows, of some columns; SemisynthError where they are damaged.

        At first one, then twice as many each time, until they are `most` at a time, or fewer where they are large.
        """
        count, done = 1, 0
        try:
            for batch in self.file.iter_batches(count, list(self.numbers), list(wanted), use_threads=False):
                yield batch
                done += len(batch)
                fitting = READ_BYTES * len(batch) // max(2 * batch.nbytes, 1)
                count = max(1, min(2 * count, fitting, most))
                # Multiples of `most` join to full batches.
                self.file.reader.set_batch_size(min(count, most - done % most))
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SemisynthError(f"{self.path}: damaged near row {self.start + done} ({_line(error)})") from error


def longest_repeated(groups: RowGroups, column: Column) -> int:
    """Bytes of the longest value of a binary column that row groups keep once for all rows that have it."""
    with open_parquet(groups.path, [column.path]) as file:
        return max((_longest_in(group, column) for group in replace(groups, file=file).each()), default=0)


def _longest_in(group: RowGroups, column: Column) -> int:
    """The same of one row group, whose file was opened for it: the first row comes with all repeated values."""
    if not group.footers(column)[0].has_dictionary_page:
        return 0
    first = next(group.batches([column.path], 1), None)
    values = None if first is None else unwrapped(first.column(first.schema.get_field_index(column.name)))
    return longest(values) if values is not None and pa.types.is_dictionary(values.type) else 0


def longest(values: pa.Array) -> int:
    """Bytes of the longest of binary values or strings."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary
    return pc.max(pc.binary_length(values)).as_py() or 0


def unwrapped(cells: pa.Array) -> pa.Array:
    """The bytes of a structure, other cells as they are."""
    return pc.struct_field(cells, BYTES) if pa.types.is_struct(cells.type) else cells


def is_list(kind: pa.DataType) -> bool:
    """Tell whether cells of this type are lists of numbers."""
    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return lists and pa.types.is_primitive(kind.value_type)  # type: ignore[no-any-return]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
