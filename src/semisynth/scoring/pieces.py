"""What a job reads: pieces of the inputs, and rows of them on their way to the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Kind = Literal["parquet", "npz", "idx", "files"]
READ_BYTES = 2**25  # of cells, in memory at a time
LONGEST_ID = 1024  # characters, of a row in a file


@dataclass(frozen=True)
class Columns:
    """Names in the input: of the images, and of the ids (None: `id` if there is one, else ids of file and row)."""

    image: str = "image"
    id: str | None = None


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `start + rows` of one input: what one output part holds.

    `groups`: row groups, of a Parquet file. `names`: paths, of image files. `has_ids`: the file tells ids.
    `stamps`: of the file, or of each of `names`, when the job began; without any, changes go unnoticed.
    """

    index: int
    kind: Kind
    path: str
    start: int
    rows: int
    groups: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    has_ids: bool = False
    stamps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Raw:
    """Rows as they were read: the first one's place in the piece, their ids, and their cells, not yet decoded.

    `cells` is an Arrow array of encoded images (binary) or of lists of pixels, an array (n, height, width) of any
    type, or for rows that need no reading to be refused the reason. `refused`: why rows of the batch are null.
    """

    first: int
    ids: Sequence[str | None]
    cells: pa.Array | NDArray[Any] | str
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """Rows of a piece: good ones' ids, places and images uint8 (n, side, side), bad ones' places and reasons."""

    ids: Sequence[str]
    rows: NDArray[np.int64]
    images: NDArray[np.uint8]
    bad: Sequence[tuple[int, str]]


def made_id(path: str, row: int) -> str:
    """The id of a row that has none of its own."""
    return f"{path}#{row}"
