"""Duplicate ids, found before scoring: eight bytes an id, and the ids themselves only where hashes agree."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.files import is_unicode
from semisynth.scoring.arrays import ArrayFile, ids_of
from semisynth.scoring.parquet import id_column
from semisynth.scoring.parquet_ids import id_batches
from semisynth.scoring.pieces import Columns, Kind, Piece

IDS_AT_A_TIME = 2**16
ID_BYTES = 2**25  # of an array's ids in memory at a time
SUSPECTS_AT_A_TIME = 1000  # hashes whose ids are held in memory
SHOWN, LONGEST_SHOWN = 3, 200  # ids in a message, and characters of one


def check_ids(pieces: Sequence[Piece], columns: Columns) -> None:
    """Raise SemisynthError that names ids which stand in more than one row.

    Ids made of file and row differ by themselves, and so do paths of files. Where there are others, or both, all
    are hashed to 64 bits, sorted in place: 80 MB for ten million. Where two hashes agree the ids are read again
    and compared.
    """
    sources = {"path" if piece.kind == "files" else "file" if piece.has_ids else "row" for piece in pieces}
    if len(sources) == 1 and sources != {"file"}:
        return
    total = sum(piece.rows for piece in pieces)
    hashes, end = np.empty(total, np.uint64), 0
    for ids in _ids(pieces, columns):
        values = pd.util.hash_array(ids, categorize=False)
        hashes[end : end + len(values)] = values
        end += len(values)
    hashes = hashes[:end]
    hashes.sort()
    suspects = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if len(suspects):
        _compare(pieces, columns, suspects)


def _ids(pieces: Sequence[Piece], columns: Columns) -> Iterator[NDArray[np.object_]]:
    """Yield the ids of all rows that have one, some at a time; those that are no Unicode end in quarantine."""
    for (path, kind), group in itertools.groupby(pieces, key=lambda piece: (piece.path, piece.kind)):
        own = list(group)
        if kind == "parquet" and own[0].has_ids:
            batches: Iterator[Iterable[str]] = id_batches(path, id_column(columns))
        else:
            batches = (piece.names for piece in own) if kind == "files" else _ids_by_row(path, kind, own)
        for ids in batches:
            yield np.array([name for name in ids if is_unicode(name)], object)


def _ids_by_row(path: str, kind: Kind, pieces: Sequence[Piece]) -> Iterator[list[str]]:
    with contextlib.ExitStack() as stack:
        file = None if kind == "parquet" else stack.enter_context(ArrayFile.opened(path, kind))
        most = IDS_AT_A_TIME
        if file is not None and file.ids is not None:
            most = min(most, ID_BYTES // file.ids.dtype.itemsize)
        for piece in pieces:
            end = piece.start + piece.rows
            for start in range(piece.start, end, most):
                yield ids_of(file, path, start, min(most, end - start))


def _compare(pieces: Sequence[Piece], columns: Columns, suspects: NDArray[np.uint64]) -> None:
    """Raise for the first ids that are really equal; different ids of one hash pass."""
    repeated: list[str] = []
    for first in range(0, len(suspects), SUSPECTS_AT_A_TIME):
        repeated += _repeated(_ids(pieces, columns), suspects[first : first + SUSPECTS_AT_A_TIME])
        if len(repeated) > SHOWN:
            break
    if repeated:
        more = ", and more" if len(repeated) > SHOWN else ""
        raise SemisynthError(
            f"ids must differ, these stand in several rows: {', '.join(map(_shown, repeated[:SHOWN]))}{more}"
        )


def _shown(name: str) -> str:
    """An id for a message: short, and without what a terminal would obey."""
    text = name if len(name) <= LONGEST_SHOWN else f"{name[: LONGEST_SHOWN - 1]}…"
    return text if text.isprintable() else repr(text)


def _repeated(batches: Iterator[NDArray[np.object_]], suspects: NDArray[np.uint64]) -> list[str]:
    """The ids with a hash among `suspects` that stand in several rows, SHOWN + 1 of them at most."""
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for ids in batches:
        for name in ids[np.isin(pd.util.hash_array(ids, categorize=False), suspects)]:
            if name in seen:
                repeated[name] = None
            seen.add(name)
            if len(repeated) > SHOWN:
                return list(repeated)
    return list(repeated)
