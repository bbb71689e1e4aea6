"""Duplicate ids, found before scoring: eight bytes an id, and the ids themselves only where hashes agree."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.files import is_unicode
from semisynth.scoring.arrays import ArrayFile, ids_of
from semisynth.scoring.parquet import id_batches
from semisynth.scoring.pieces import Columns, Piece

IDS_AT_A_TIME = 2**16
SUSPECTS_AT_A_TIME = 1000  # hashes whose ids are held in memory
SHOWN = 3


def check_ids(pieces: Sequence[Piece], columns: Columns) -> None:
    """Raise SemisynthError that names ids which stand in more than one row.

    Ids made of file and row, and paths of files, differ by themselves. The others are hashed to 64 bits, sorted in
    place: 80 MB for ten million. Where two hashes agree the ids are read again and compared.
    """
    total = sum(piece.rows for piece in pieces if _may_repeat(piece))
    if total < 2:
        return
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


def _may_repeat(piece: Piece) -> bool:
    return piece.has_ids and piece.kind != "files"


def _ids(pieces: Sequence[Piece], columns: Columns) -> Iterator[NDArray[np.object_]]:
    """Yield the ids of all rows that have one, some at a time."""
    for (path, kind), own in itertools.groupby(
        filter(_may_repeat, pieces), lambda piece: (piece.path, piece.kind)
    ):
        if kind == "parquet":
            for ids in id_batches(path, columns):
                yield np.array([name for name in ids if is_unicode(name)], object)  # others: quarantine
            continue
        with ArrayFile.opened(path, kind) as file:
            for piece in own:
                for first in range(0, piece.rows, IDS_AT_A_TIME):
                    count = min(IDS_AT_A_TIME, piece.rows - first)
                    ids = ids_of(file, piece, piece.start + first, count)
                    yield np.array([name for name in ids if is_unicode(name)], object)  # others: quarantine


def _compare(pieces: Sequence[Piece], columns: Columns, suspects: NDArray[np.uint64]) -> None:
    """Raise for the first ids that are really equal; different ids of one hash pass."""
    repeated: list[str] = []
    for first in range(0, len(suspects), SUSPECTS_AT_A_TIME):
        repeated += _repeated(_ids(pieces, columns), suspects[first : first + SUSPECTS_AT_A_TIME])
        if len(repeated) > SHOWN:
            break
    if repeated:
        more = ", and more" if len(repeated) > SHOWN else ""
        raise SemisynthError(f"ids must differ, these stand in several rows: {', '.join(repeated[:SHOWN])}{more}")


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
