"""Duplicate ids, found before scoring: eight bytes an id, and the ids themselves only where hashes agree."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.scoring.arrays import ArrayFile, ids_of
from semisynth.scoring.parquet import id_batches
from semisynth.scoring.pieces import Columns, Piece

IDS_AT_A_TIME = 2**16
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
        _compare(_ids(pieces, columns), suspects)


def _may_repeat(piece: Piece) -> bool:
    return piece.has_ids and piece.kind != "files"


def _ids(pieces: Sequence[Piece], columns: Columns) -> Iterator[NDArray[np.object_]]:
    """Yield the ids of all rows that have one, some at a time."""
    for path, kind in dict.fromkeys((piece.path, piece.kind) for piece in pieces if _may_repeat(piece)):
        own = [piece for piece in pieces if piece.path == path]
        if kind == "parquet":
            for batch in id_batches(path, columns):
                yield batch.drop_null().to_numpy(zero_copy_only=False).astype(object)
            continue
        with ArrayFile.opened(path, kind) as file:
            for piece in own:
                for first in range(0, piece.rows, IDS_AT_A_TIME):
                    count = min(IDS_AT_A_TIME, piece.rows - first)
                    yield np.array(ids_of(file, piece, piece.start + first, count), object)


def _compare(batches: Iterator[NDArray[np.object_]], suspects: NDArray[np.uint64]) -> None:
    """Raise for the first ids that are really equal; different ids of one hash pass."""
    seen: set[str] = set()
    repeated: list[str] = []
    for ids in batches:
        for name in ids[np.isin(pd.util.hash_array(ids, categorize=False), suspects)]:
            if name in seen and name not in repeated:
                repeated.append(name)
            seen.add(name)
            if len(repeated) > SHOWN:
                break
        if len(repeated) > SHOWN:
            break
    if repeated:
        more = ", and more" if len(repeated) > SHOWN else ""
        raise SemisynthError(f"ids must differ, these stand in several rows: {', '.join(repeated[:SHOWN])}{more}")
