"""What the user named, turned into pieces, and checked before anything is scored."""

import glob
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from semisynth.errors import SemisynthError
from semisynth.files import sha256_of
from semisynth.scoring.arrays import ArrayFile, read_arrays, survey_arrays
from semisynth.scoring.decoding import LARGEST_ENCODED
from semisynth.scoring.parquet import read_parquet, survey_parquet
from semisynth.scoring.pieces import Columns, Kind, Piece, Raw

PICTURES = (".png", ".jpg", ".jpeg")
SUFFIXES: dict[str, Kind] = {".parquet": "parquet", ".pq": "parquet", ".npz": "npz", ".idx": "idx"}


@dataclass(frozen=True)
class Survey:
    """All pieces in order, and of each input its path, rows and SHA-256, as the manifest keeps them."""

    pieces: list[Piece]
    inputs: list[dict[str, Any]]

    @property
    def rows(self) -> int:
        """Rows of all pieces."""
        return sum(piece.rows for piece in self.pieces)


def survey(named: Sequence[str], columns: Columns, rows_per_part: int) -> Survey:
    """Find the pieces of everything `named`: files, folders of images, and globs.

    SemisynthError where nothing is found, or an input can't be what its name says.
    """
    pieces: list[Piece] = []
    inputs: list[dict[str, Any]] = []
    pictures: list[str] = []
    for path in _expanded(named):
        if path.suffix.lower() in PICTURES:
            pictures.append(path.as_posix())
            continue
        if path.is_dir():
            names = _picture_files(path)
            found, digest = _in_parts(path.as_posix(), names, rows_per_part), _digest_of_names(names)
        else:
            kind = _kind_of(path)
            found = (
                survey_parquet(str(path), columns, rows_per_part)
                if kind == "parquet"
                else survey_arrays(str(path), kind, columns, rows_per_part)
            )
            digest = sha256_of(path)
        pieces += found
        inputs.append({"path": path.as_posix(), "rows": sum(piece.rows for piece in found), "sha256": digest})
    if pictures:
        pieces += _in_parts("", pictures, rows_per_part)
        inputs.append({"path": "", "rows": len(pictures), "sha256": _digest_of_names(pictures)})
    if not sum(piece.rows for piece in pieces):
        raise SemisynthError(f"{', '.join(named)}: expected images to score, found no rows")
    pieces = [piece for piece in pieces if piece.rows]
    return Survey([replace(piece, index=index) for index, piece in enumerate(pieces)], inputs)


class Reader:
    """Reads pieces; keeps the last NPZ or IDX file open, since going on in a packed stream is cheap."""

    def __init__(self, columns: Columns, side: int, batch_size: int) -> None:
        self.columns, self.side, self.batch_size = columns, side, batch_size

    def read(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Raw | None]]:
        """Yield the rows of each piece in batches, and None after its last one."""
        for (path, kind), group in itertools.groupby(pieces, key=lambda piece: (piece.path, piece.kind)):
            if kind in ("npz", "idx"):
                with ArrayFile.opened(path, kind) as file:
                    for piece in group:
                        yield from _ended(piece, read_arrays(file, piece, self.side, self.batch_size))
                continue
            for piece in group:
                batches = (
                    read_parquet(piece, self.columns, self.batch_size)
                    if kind == "parquet"
                    else read_pictures(piece, self.batch_size)
                )
                yield from _ended(piece, batches)


def read_pictures(piece: Piece, batch_size: int) -> Iterator[Raw]:
    """Yield the bytes of image files, `batch_size` at a time; a file's path is its id."""
    for first in range(0, piece.rows, batch_size):
        names = piece.names[first : first + batch_size]
        yield Raw(first, names, pa.array([_content(name) for name in names], pa.large_binary()))


def _content(name: str) -> bytes | None:
    """A file's bytes, but no more than one over the limit, so that what is too large is seen as such."""
    try:
        with Path(name).open("rb") as stream:
            return stream.read(LARGEST_ENCODED + 1)
    except OSError:
        return b""  # can't be decoded, which says it


def _ended(piece: Piece, batches: Iterator[Raw]) -> Iterator[tuple[Piece, Raw | None]]:
    for raw in batches:
        yield piece, raw
    yield piece, None


def _expanded(named: Sequence[str]) -> list[Path]:
    """Files and folders in the order named, globs sorted; nothing twice."""
    found: dict[Path, Path] = {}
    for name in named:
        matches = [name] if Path(name).exists() else sorted(glob.glob(name, recursive=True))  # noqa: PTH207, a pattern may begin at the root
        if not matches:
            raise SemisynthError(f"{name}: no such file or folder, and no file matches it as a pattern")
        for match in matches:
            found.setdefault(Path(match).resolve(), Path(match))
    return list(found.values())


def _kind_of(path: Path) -> Kind:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind:
        return kind
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == b"PAR1":
        return "parquet"
    if start[:2] == b"PK":
        return "npz"
    if start[:2] in (b"\x1f\x8b", b"\x00\x00"):
        return "idx"
    received = start.hex(" ") or "of an empty file"
    raise SemisynthError(f"{path}: expected Parquet, NPZ, IDX, PNG or JPEG, received the bytes {received}")


def _picture_files(folder: Path) -> list[str]:
    """All files below `folder`, sorted, but hidden ones: what is no image ends in quarantine, not in silence."""
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name).as_posix() for name in sorted(files) if not name.startswith(".")]
    tables = [name for name in found[:1] if Path(name).suffix.lower() in SUFFIXES]
    if tables:
        raise SemisynthError(
            f"{folder}: a folder of images expected, found {tables[0]}; name such files, or a pattern"
        )
    return found


def _in_parts(path: str, names: list[str], rows_per_part: int) -> list[Piece]:
    return [
        Piece(-1, "files", path, start, len(part), names=tuple(part), has_ids=True)
        for start in range(0, len(names), rows_per_part)
        for part in [names[start : start + rows_per_part]]
    ]


def _digest_of_names(names: list[str]) -> str:
    """SHA-256 of names, sizes and times of change: reading every file twice would take as long as scoring."""
    digest = hashlib.sha256()
    for name in names:
        status = Path(name).stat()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
