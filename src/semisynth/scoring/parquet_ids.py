"""The column of ids in Parquet: strings, or integers, in batches that fit into memory."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.scoring.pieces import LONGEST_ID
from semisynth.scoring.row_groups import (
    FOLDED,
    RowGroups,
    longest,
    longest_repeated,
    open_parquet,
    stored_column,
)

HELD_BYTES = 2**28  # of ids, unpacked
FEW_IDS = 25  # at most are read at a time where their bytes are told nowhere
MANY_IDS = 2**16
MOST_BYTES = 4 * LONGEST_ID  # UTF-8 takes four bytes a character at most


def id_batches(path: str, name: str) -> Iterator[NDArray[np.object_]]:
    """Yield the column of ids as strings, some at a time, without nulls.

    SemisynthError where some have more than MOST_BYTES.
    """
    with open_parquet(path) as file:
        column, groups = stored_column(file, name), RowGroups(path, file, tuple(range(file.num_row_groups)), 0)
        _check_length(path, name, longest_repeated(groups, column))
        for group in groups.each():
            footer = group.footers(column)[0]
            fitting = HELD_BYTES * group.rows // max(footer.total_uncompressed_size, 1)
            most = FEW_IDS if FOLDED in footer.encodings else fitting
            for batch in group.batches([name], max(1, min(MANY_IDS, most))):
                ids = batch.column(0).drop_null()
                if not pa.types.is_integer(ids.type):
                    _check_length(path, name, longest(ids))
                yield ids_as_strings(ids)


def ids_as_strings(ids: pa.Array) -> NDArray[np.object_]:
    """Ids as strings, None for null. Bytes that are no UTF-8 are lone surrogates, as in the names of files."""
    if pa.types.is_dictionary(ids.type):
        names = np.append(ids_as_strings(ids.dictionary), [None])  # the last for null, where the index is -1
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


def _check_length(path: str, name: str, received: int) -> None:
    if received > MOST_BYTES:
        raise SemisynthError(
            f"{path}: column `{name}` must hold {MOST_BYTES} bytes a row at most, received {received}"
        )
