"""Output parts: one a piece, renamed when it is whole, after its quarantined rows and its counts."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from semisynth.errors import SemisynthError
from semisynth.files import read_json, replacing_file
from semisynth.scoring.durable import durable_file
from semisynth.scoring.options import Format, Task
from semisynth.scoring.pieces import Decoded, Piece

PARTS, STATE = "parts", ".state"
RUN = "run-"  # begins the names of staging folders
COUNTS: Mapping[str, type] = {"rows": int, "anomalies": int, "quarantined": dict, "worst": list}
WORST = {"id", "score", "p_value", "piece", "row"}  # what is kept of each of the most abnormal rows
QUARANTINE_SCHEMA = pa.schema([("file", pa.string()), ("row", pa.int64()), ("reason", pa.string())])
ROWS_AT_A_TIME = 2**16  # that one row group of the output holds


def part_path(out: Path, index: int, format: Format) -> Path:
    """Where the part of a piece stands."""
    return out / PARTS / f"part-{index:06d}.{format}"


def state_path(out: Path, index: int) -> Path:
    """Where the counts of a part stand."""
    return out / STATE / f"{index:06d}.json"


def quarantine_path(out: Path, index: int) -> Path:
    """Where the quarantined rows of a piece wait."""
    return out / STATE / f"quarantine-{index:06d}.parquet"


def staging_path(task: Task) -> Path:
    """Where the writers of one run keep files that are not whole yet."""
    return task.out / STATE / f"{RUN}{task.run}"


def read_state(out: Path, index: int) -> dict[str, Any]:
    """The counts of a finished part: `rows`, `anomalies`, `quarantined` by reason, `worst`.

    SemisynthError where they can't be read.
    """
    path = state_path(out, index)
    try:
        counts = read_json(path)
    except FileNotFoundError as error:
        raise SemisynthError(f"{path}: expected the counts of a part, found no file") from error
    except ValueError as error:
        raise SemisynthError(f"{path}: expected the counts of a part, received {error}") from error
    if not _are_counts(counts):
        raise SemisynthError(f"{path}: expected the counts of a part, received {str(counts)[:80]}")
    return counts  # type: ignore[no-any-return]


def _are_counts(found: Any) -> bool:
    if not isinstance(found, dict) or any(not isinstance(found.get(key), kind) for key, kind in COUNTS.items()):
        return False
    return all(isinstance(row, dict) and row.keys() == WORST for row in found["worst"])


def is_finished(out: Path, index: int, format: Format) -> bool:
    """Whether the part of a piece, its counts and, where they tell of bad rows, its quarantine are all there."""
    if not part_path(out, index, format).exists():
        return False
    try:
        bad = read_state(out, index)["quarantined"]
    except SemisynthError:
        return False
    return not bad or quarantine_path(out, index).exists()


def discard(out: Path, index: int, format: Format) -> None:
    """Delete what is left of a piece that is not finished: its part first, since that is what says it is."""
    for path in (part_path(out, index, format), state_path(out, index), quarantine_path(out, index)):
        path.unlink(missing_ok=True)


class TableWriter:
    """Appends tables of one schema to a stream, as row groups of a decent size, in Parquet or CSV."""

    def __init__(self, stream: BinaryIO, schema: pa.Schema, format: Format) -> None:
        self._schema, self._waiting, self._count = schema, list[pa.Table](), 0
        kind = pq.ParquetWriter if format == "parquet" else pyarrow.csv.CSVWriter
        self._writer = kind(stream, schema)

    def add(self, table: pa.Table) -> None:
        """Append the rows of `table`."""
        self._waiting.append(table)
        self._count += len(table)
        if self._count >= ROWS_AT_A_TIME:
            self._flush()

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """End without a whole file, while the stream is still open: pyarrow would try later, and complain."""
        with contextlib.suppress(OSError, ValueError):
            self._writer.close()

    def _flush(self) -> None:
        if self._count:
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._count = [], 0


@contextmanager
def table_file(target: Path, schema: pa.Schema, format: Format) -> Iterator[TableWriter]:
    """A writer for `target`, which appears whole if the block succeeds, else not at all."""
    with (
        replacing_file(target) as temporary,
        temporary.open("wb") as stream,
        _table_writer(stream, schema, format) as writer,
    ):
        yield writer


@contextmanager
def _table_writer(stream: BinaryIO, schema: pa.Schema, format: Format) -> Iterator[TableWriter]:
    writer = TableWriter(stream, schema, format)
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.abandon()
        raise


class PartWriter:
    """Collects one piece's rows. The part itself is renamed last: until then the piece counts as not done."""

    def __init__(self, task: Task, piece: Piece, schema: pa.Schema) -> None:
        self._out, self._piece, self._schema, self._format = task.out, piece, schema, task.options.format
        self._staging, self._kept, self._rows, self._anomalies = staging_path(task), task.options.kept, 0, 0
        self._reasons: Counter[str] = Counter()
        self._worst: list[dict[str, Any]] = []

    @contextmanager
    def opened(self) -> Iterator["PartWriter"]:
        """Open the files; on success, rename them into place: the quarantine, the counts, then the part."""
        index = self._piece.index
        with self._table(part_path(self._out, index, self._format), self._schema, self._format) as self._part:
            with ExitStack() as self._stack:
                self._quarantine: TableWriter | None = None
                yield self
            counts = {"rows": self._rows, "anomalies": self._anomalies, "quarantined": dict(self._reasons)}
            with durable_file(state_path(self._out, index), self._staging) as stream:
                stream.write(json.dumps(counts | {"worst": self._worst}).encode())

    @contextmanager
    def _table(self, target: Path, schema: pa.Schema, format: Format) -> Iterator[TableWriter]:
        with durable_file(target, self._staging) as stream, _table_writer(stream, schema, format) as writer:
            yield writer

    def add(self, decoded: Decoded, table: pa.Table) -> None:
        """Append scored rows, and quarantine the bad ones."""
        if decoded.bad:
            self._add_bad(decoded)
        if not len(table):
            return
        self._part.add(table)
        self._rows += len(table)
        self._anomalies += pc.sum(table["is_anomaly"]).as_py()
        self._keep_worst(decoded, table)

    def _add_bad(self, decoded: Decoded) -> None:
        if self._quarantine is None:
            target = quarantine_path(self._out, self._piece.index)
            self._quarantine = self._stack.enter_context(self._table(target, QUARANTINE_SCHEMA, "parquet"))
        self._quarantine.add(quarantined(self._piece, decoded.bad))
        self._reasons.update(reason.partition(":")[0] for _, reason in decoded.bad)

    def _keep_worst(self, decoded: Decoded, table: pa.Table) -> None:
        full = len(self._worst) == self._kept
        least = self._worst[-1]["score"] if full else -np.inf  # of equal scores the first ones stay
        chosen = np.flatnonzero(table["score"].to_numpy() > least)
        rows = table.select(["id", "score", "p_value"]).take(chosen).to_pylist()
        places = decoded.rows[chosen].tolist()
        fresh = [row | {"piece": self._piece.index, "row": at} for row, at in zip(rows, places, strict=True)]
        self._worst = most_abnormal(self._worst + fresh, self._kept)


def most_abnormal(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The `count` rows of the largest scores; of equal ones those that come first in the input."""
    return sorted(rows, key=lambda row: (-row["score"], row["piece"], row["row"]))[:count]


def quarantined(piece: Piece, bad: Any) -> pa.Table:
    """Bad rows of a piece, each with its file, its row in that file and the reason."""
    columns: Mapping[str, list[Any]] = {
        "file": [place(piece, row)[0] for row, _ in bad],
        "row": [place(piece, row)[1] for row, _ in bad],
        "reason": [reason for _, reason in bad],
    }
    return pa.table(columns, QUARANTINE_SCHEMA)


def place(piece: Piece, row: int) -> tuple[str, int]:
    """File, what is no Unicode in its name escaped, and row in it of the row at `row` of a piece."""
    name, at = (piece.names[row], 0) if piece.names else (piece.path, piece.start + row)
    return name.encode(errors="backslashreplace").decode(), at
