"""Files that are either whole or absent: write under a temporary name, to the disk, then rename."""

import csv
import glob
import hashlib
import json
import os
import shutil
import tempfile
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ASIDE = ".old.part"


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` if the block succeeds, else delete it."""
    _clear_stale(target)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; it takes `target`'s place if the block succeeds, else it goes."""
    _clear_stale(target)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _sync(path)
        temporary.chmod(0o755)
        if target.exists():  # set aside, not deleted in its place: that takes time, and a kill would leave a part
            aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=ASIDE, dir=target.parent))
            target.replace(aside)
            try:
                temporary.replace(target)
            except BaseException:
                aside.replace(target)
                raise
            aside.replace(temporary)  # a name that is never taken for a whole folder
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file is on the disk: else a power cut could leave its name without its content."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


RANDOM = "?" * 8  # what `tempfile` puts between prefix and suffix
# What NumPy's reading of a damaged array ends in: its header is taken for the text of a Python literal, and may
# promise any size.
DAMAGED_ARRAY = (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError)


def _clear_stale(target: Path) -> None:
    """Make the parent folder, and delete what a killed process left of an earlier attempt at `target`.

    A folder that was set aside when the kill came before another was in its place goes back there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for aside in target.parent.glob(f".{glob.escape(target.name)}.{RANDOM}{ASIDE}"):
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.replace(target)
    for stale in target.parent.glob(f".{glob.escape(target.name)}.{RANDOM}.part"):
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
        else:
            stale.unlink(missing_ok=True)


def is_unicode(name: str) -> bool:
    """Whether a name can be written as UTF-8: lone surrogates stand for bytes that can't be read so."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """The value in a JSON file; ValueError where it holds none, or nests too deeply to be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON. NaN and infinity are refused (ValueError): they are not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` with a header line of `columns`; a row with other keys raises ValueError."""
    with replacing_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
