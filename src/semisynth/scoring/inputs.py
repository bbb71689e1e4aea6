"""What the user named, turned into pieces, and checked before anything is scored."""

import errno
import glob
import hashlib
import itertools
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from semisynth.errors import SemisynthError
from semisynth.files import sha256_of
from semisynth.scoring.arrays import ArrayFile, read_arrays, survey_arrays
from semisynth.scoring.decoding import LARGEST_ENCODED, UnusableError, check_encoded
from semisynth.scoring.parquet import read_parquet, survey_parquet
from semisynth.scoring.pieces import READ_BYTES, Columns, Kind, Piece, Raw
from semisynth.scoring.stamps import check_stamp, stamp_of

PICTURES = (".png", ".jpg", ".jpeg")
SUFFIXES: dict[str, Kind] = {".parquet": "parquet", ".pq": "parquet", ".npz": "npz", ".idx": "idx"}
STARTS: dict[bytes, Kind] = {  # of files whose name tells nothing
    b"PAR1": "parquet",
    b"PK": "npz",
    b"\x1f\x8b": "idx",  # packed
    b"\0\0": "idx",
    b"\x89PNG": "files",
    b"\xff\xd8\xff": "files",  # JPEG
}
# Why a file stays unreadable, whenever it is tried again.
UNREADABLE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENXIO,
}


@dataclass(frozen=True)
class Survey:
    """All pieces in order, and of each input its path, rows and SHA-256, as the manifest keeps them."""

    pieces: list[Piece]
    inputs: list[dict[str, Any]]

    @property
    def rows(self) -> int:
        """Rows of all pieces."""
        return sum(piece.rows for piece in self.pieces)


def survey(named: Sequence[str], columns: Columns, rows_per_part: int, out: Path | None = None) -> Survey:
    """Find the pieces of everything `named`: files, folders of images, and globs.

    A picture that several of them name is scored once; a table that is named is no image of a folder that is named
    as well. What a glob matches in the output folder `out` is left out.
    SemisynthError where nothing is found, an input can't be what its name says, or `out` lies in an input folder:
    its parts would be inputs next time.
    """
    pieces: list[Piece] = []
    inputs: list[dict[str, Any]] = []
    pictures: list[str] = []
    expanded = _expanded(named, out)
    several = len(expanded) > 1  # else no real paths need to be held
    tables = {os.path.realpath(name) for name in expanded if _is_table(Path(name))} if several else set()
    seen: set[str] = set()
    for path in map(Path, expanded):
        if path.is_dir():
            if out is not None and _is_in(os.path.realpath(out), os.path.realpath(path)):
                raise _inside(out, path)
            names = _picture_files(path, tables, out)
            if several:
                names = _unseen(names, seen)
            found = _in_parts(path.as_posix(), names, rows_per_part)
            digest = _digest_of_names(found)
        elif seen and os.path.realpath(path) in seen:
            continue  # its folder, named as well, counts it among its images, or among the bad ones
        elif (kind := _kind_of(path)) == "files":
            pictures += _unseen([path.as_posix()], seen)
            continue
        else:
            stamp = stamp_of(str(path))
            found = (
                survey_parquet(str(path), columns, rows_per_part)
                if kind == "parquet"
                else survey_arrays(str(path), kind, columns, rows_per_part)
            )
            found = [replace(piece, stamps=(stamp,)) for piece in found]
            digest = sha256_of(path)
        pieces += found
        inputs.append({"path": path.as_posix(), "rows": sum(piece.rows for piece in found), "sha256": digest})
    if pictures:
        found = _in_parts("", pictures, rows_per_part)
        pieces += found
        inputs.append({"path": "", "rows": len(pictures), "sha256": _digest_of_names(found)})
    if not sum(piece.rows for piece in pieces):
        raise SemisynthError(f"{', '.join(named)}: expected images to score, found no rows")
    pieces = [piece for piece in pieces if piece.rows]
    return Survey([replace(piece, index=index) for index, piece in enumerate(pieces)], inputs)


class Reader:
    """Reads pieces; keeps the last NPZ or IDX file open, since going on in a packed stream is cheap."""

    def __init__(self, columns: Columns, side: int, batch_size: int) -> None:
        self.columns, self.side, self.batch_size = columns, side, batch_size

    def read(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Raw | None]]:
        """Yield the rows of each piece in batches, and None after its last one.

        SemisynthError where a file is no longer the one that was surveyed.
        """
        same = map(_unchanged, pieces)  # as they come up: before their file is opened
        for (path, kind), group in itertools.groupby(same, key=lambda piece: (piece.path, piece.kind)):
            if kind in ("npz", "idx"):
                with ArrayFile.opened(path, kind) as file:
                    for piece in group:
                        yield from _ended(piece, read_arrays(file, piece, self.side, self.batch_size))
                continue
            for piece in group:
                batches = (
                    read_parquet(piece, self.columns, self.side, self.batch_size)
                    if kind == "parquet"
                    else read_pictures(piece, self.batch_size)
                )
                yield from _ended(piece, batches)


def read_pictures(piece: Piece, batch_size: int) -> Iterator[Raw]:
    """Yield the bytes of image files, at most `batch_size` and about 32 MiB at a time; a file's path is its id."""
    first, size = 0, 0
    cells: list[bytes | None] = []
    refused: dict[int, str] = {}
    for name, stamp in itertools.zip_longest(piece.names, piece.stamps):
        content, why = _content(name)
        if stamp is not None:
            check_stamp(name, stamp)
        if content is None:
            refused[len(cells)] = why
        cells.append(content)
        size += len(content or b"")
        if len(cells) == batch_size or size >= READ_BYTES or first + len(cells) == piece.rows:
            names = piece.names[first : first + len(cells)]
            yield Raw(first, names, pa.array(cells, pa.large_binary()), refused)
            first, size, cells, refused = first + len(cells), 0, [], {}


def _content(name: str) -> tuple[bytes | None, str]:
    """A file's bytes, or None and why there are none. What is too large, or no file, is not even opened.

    OSError where the reason may pass, as a disk or network that fails: a good image must not end as a bad one.
    """
    try:
        status = Path(name).stat()
        if not stat.S_ISREG(status.st_mode):
            return None, "unreadable: not a file"
        check_encoded(status.st_size)
        with Path(name).open("rb") as stream:
            return stream.read(LARGEST_ENCODED + 1), ""
    except UnusableError as error:
        return None, str(error)
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        return None, f"unreadable: {error.strerror}"


def _ended(piece: Piece, batches: Iterator[Raw]) -> Iterator[tuple[Piece, Raw | None]]:
    for raw in batches:
        yield piece, raw
    yield _unchanged(piece), None


def _unchanged(piece: Piece) -> Piece:
    """The piece, after a look at its file; pictures are looked at one by one, when they are read."""
    if piece.stamps and not piece.names:
        check_stamp(piece.path, piece.stamps[0])
    return piece


def _expanded(named: Sequence[str], out: Path | None) -> list[str]:
    """Files and folders in the order named, globs sorted and without what lies in `out`; nothing twice."""
    found: dict[str, str] = {}
    own = os.path.realpath(out) if out else None
    left_out = False
    for name in named:
        is_path = os.path.lexists(name)
        matches = [name] if is_path else sorted(glob.glob(name, recursive=True))  # noqa: PTH207, a pattern may begin at the root
        real = [(os.path.realpath(match), match) for match in matches]
        kept = [one for one in real if is_path or own is None or not _is_in(one[0], own)]
        if not kept:
            where = f" outside of the output folder {out}" if real else ""
            raise SemisynthError(f"{name}: no such file or folder, and no file{where} matches it as a pattern")
        left_out |= len(kept) < len(real)
        for path, match in kept:
            found.setdefault(path, match)
    if left_out:
        print(f"notice: what lies in the output folder {out} is left out of the input", file=sys.stderr)
    return list(found.values())


def _is_in(path: str, folder: str) -> bool:
    """Whether a real path is that of the folder, or lies in it."""
    return Path(path).is_relative_to(folder)


def _kind_of(path: Path) -> Kind:
    if path.suffix.lower() not in PICTURES and not path.is_file():  # a pipe would be waited for without end
        raise SemisynthError(f"{path}: expected a file or a folder, received neither")
    kind = _told_kind(path)
    if kind:
        return kind
    with path.open("rb") as stream:
        received = stream.read(4).hex(" ") or "of an empty file"
    raise SemisynthError(f"{path}: expected Parquet, NPZ, IDX, PNG or JPEG, received the bytes {received}")


def _told_kind(path: Path) -> Kind | None:
    """What a file is by its name, else by its first bytes; None where neither tells."""
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return "files"
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    with path.open("rb") as stream:
        start = stream.read(4)
    return next((kind for magic, kind in STARTS.items() if start.startswith(magic)), None)


def _is_table(path: Path) -> bool:
    """Whether it is a file of many images; what can't be read is none."""
    if path.suffix.lower() in PICTURES:
        return False
    try:
        return path.is_file() and _told_kind(path) not in ("files", None)
    except OSError:
        return False


def _picture_files(folder: Path, named: set[str], out: Path | None) -> list[str]:
    """All files below `folder`, sorted, but hidden ones: what is no image ends in quarantine, not in silence.

    Left out are those whose real path is in `named`: tables that are read as such. Links to folders are followed,
    a folder that several lead to once. SemisynthError where one cannot be listed, or leads to `out`.
    """
    found: list[str] = []
    own = os.path.realpath(out) if out else None
    entered = {os.path.realpath(folder)}
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        shown = {os.path.realpath(Path(parent, name)): name for name in sorted(folders) if name[0] != "."}
        if out is not None and own in shown:
            raise _inside(out, folder)
        folders[:] = [name for real, name in shown.items() if real not in entered]
        entered.update(shown)
        files = [Path(parent, name).as_posix() for name in sorted(files) if not name.startswith(".")]
        found += [name for name in files if not (named and os.path.realpath(name) in named)]
    table = next((name for name in found if Path(name).suffix.lower() in SUFFIXES), None)
    if table and not any(map(_may_be_a_picture, found)):
        raise SemisynthError(
            f"{folder}: a folder of images expected, found {table}; name such files, or a pattern"
        )
    return found


def _may_be_a_picture(name: str) -> bool:
    """By its name: `_SUCCESS` marks a folder of tables."""
    path = Path(name)
    return path.suffix.lower() in PICTURES or not (path.suffix or path.name.startswith("_"))


def _inside(out: Path, folder: Path) -> SemisynthError:
    return SemisynthError(f"{out}: expected an output folder outside of the input folder {folder}")


def _refuse(error: OSError) -> None:
    raise SemisynthError(f"{error.filename}: expected a folder that can be read: {error.strerror}") from error


def _unseen(names: list[str], seen: set[str]) -> list[str]:
    """Those of `names` that are not in `seen`, by their real paths, which join it."""
    real = {name: os.path.realpath(name) for name in names}
    fresh = [name for name in names if real[name] not in seen]
    seen.update(real.values())
    return fresh


def _in_parts(path: str, names: list[str], rows_per_part: int) -> list[Piece]:
    return [
        Piece(-1, "files", path, start, len(part), (), tuple(part), True, tuple(map(stamp_of, part)))
        for start in range(0, len(names), rows_per_part)
        for part in [names[start : start + rows_per_part]]
    ]


def _digest_of_names(pieces: Iterable[Piece]) -> str:
    """SHA-256 of names, sizes and times of change: reading every file twice would take as long as scoring."""
    digest = hashlib.sha256()
    for piece in pieces:
        for name, stamp in zip(piece.names, piece.stamps, strict=True):
            facts = stamp.replace(":", "\0")  # none of a link to nothing, which ends in quarantine
            digest.update(f"{name}\0{facts}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
