"""Output parts: one a piece, renamed when it is whole, with its quarantined rows and its counts beside it."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from semisynth.files import replacing_file
from semisynth.scoring.options import Format
from semisynth.scoring.pieces import Decoded, Piece

PARTS, STATE = "parts", ".state"
QUARANTINE_SCHEMA = pa.schema([("file", pa.string()), ("row", pa.int64()), ("reason", pa.string())])
ROWS_AT_A_TIME = 2**16  # that one row group of the output holds


def part_path(out: Path, index: int, format: Format) -> Path:
    """Where the part of a piece stands; that it does, says that the piece is done."""
    return out / PARTS / f"part-{index:06d}.{format}"


def state_path(out: Path, index: int) -> Path:
    """Where the counts of a part stand."""
    return out / STATE / f"{index:06d}.json"


def quarantine_path(out: Path, index: int) -> Path:
    """Where the quarantined rows of a piece wait."""
    return out / STATE / f"quarantine-{index:06d}.parquet"


def read_state(out: Path, index: int) -> dict[str, Any]:
    """The counts of a finished part: `rows`, `anomalies`, `quarantined` by reason, `worst`."""
    return json.loads(state_path(out, index).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


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
    with replacing_file(target) as temporary, temporary.open("wb") as stream:
        writer = TableWriter(stream, schema, format)
        try:
            yield writer
            writer.close()
            _to_disk(stream)
        except BaseException:
            writer.abandon()
            raise


def _to_disk(stream: BinaryIO) -> None:
    """Wait until the file is on the disk: else a power cut could leave its name without its content."""
    stream.flush()
    os.fsync(stream.fileno())


class PartWriter:
    """Collects one piece's rows. The part itself is renamed last: until then the piece counts as not done."""

    def __init__(self, out: Path, piece: Piece, schema: pa.Schema, format: Format, explain: int) -> None:
        self._out, self._piece, self._schema, self._format = out, piece, schema, format
        self._explain, self._rows, self._anomalies = explain, 0, 0
        self._reasons: Counter[str] = Counter()
        self._worst: list[dict[str, Any]] = []

    @contextmanager
    def opened(self) -> Iterator["PartWriter"]:
        """Open the files; on success, rename them all into place."""
        index = self._piece.index
        quarantine_path(self._out, index).unlink(missing_ok=True)  # of a run that ended before the part was whole
        with table_file(part_path(self._out, index, self._format), self._schema, self._format) as self._part:
            with ExitStack() as self._stack:
                self._quarantine: TableWriter | None = None
                yield self
            counts = {"rows": self._rows, "anomalies": self._anomalies, "quarantined": dict(self._reasons)}
            with replacing_file(state_path(self._out, index)) as temporary, temporary.open("wb") as stream:
                stream.write(json.dumps(counts | {"worst": self._worst}).encode())
                _to_disk(stream)

    def add(self, decoded: Decoded, table: pa.Table) -> None:
        """Append scored rows, and quarantine the bad ones."""
        if decoded.bad:
            self._add_bad(decoded)
        if not len(table):
            return
        self._part.add(table)
        self._rows += len(table)
        self._anomalies += pc.sum(table["is_anomaly"]).as_py()
        if self._explain:
            self._keep_worst(decoded, table)

    def _add_bad(self, decoded: Decoded) -> None:
        if self._quarantine is None:
            target = quarantine_path(self._out, self._piece.index)
            self._quarantine = self._stack.enter_context(table_file(target, QUARANTINE_SCHEMA, "parquet"))
        self._quarantine.add(quarantined(self._piece, decoded.bad))
        self._reasons.update(reason.partition(":")[0] for _, reason in decoded.bad)

    def _keep_worst(self, decoded: Decoded, table: pa.Table) -> None:
        rows = table.select(["id", "score", "p_value"]).to_pylist()
        fresh = [
            row | {"piece": self._piece.index, "row": int(at)} for row, at in zip(rows, decoded.rows, strict=True)
        ]
        self._worst = most_abnormal(self._worst + fresh, self._explain)


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
