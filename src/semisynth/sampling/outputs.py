"""Where samples go: the format of a path, and what must not be overwritten."""

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from semisynth.errors import SemisynthError, UsageError

OutputFormat: TypeAlias = Literal["npz", "png", "folder"]
PictureName: TypeAlias = Literal["classes", "interpolation", "manifold", "style"]
FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)
SUFFIXES: dict[OutputFormat, str] = {"npz": ".npz", "png": ".png", "folder": ""}


def format_of(out: Path, asked: OutputFormat | None = None) -> OutputFormat:
    """The format `asked` for, else the one that the suffix of `out` stands for: .npz, .png, or none for a folder.

    UsageError where the suffix is another one.
    """
    suffix = out.suffix.lower()
    if asked is None:
        asked = next((known for known in FORMATS if suffix == SUFFIXES[known]), None)
        if asked is None:
            raise UsageError(
                f"{out}: expected a name that ends in .npz or .png, or `--format folder`, received `{suffix}`"
            )
    elif asked != "folder" and suffix != SUFFIXES[asked]:
        raise UsageError(f"{out}: expected a name that ends in {SUFFIXES[asked]}, received `{out.name}`")
    return asked


def check_vacant(out: Path, kind: OutputFormat, *, force: bool) -> None:
    """SemisynthError where something stands at `out`, unless `force` may replace it.

    A folder is replaced only where it holds nothing but what an earlier run can have written.
    """
    if not (out.exists() or out.is_symlink()):
        return
    if not force:
        raise SemisynthError(f"{out}: exists already; choose another name, or replace it with `--force`")
    if kind != "folder":
        if out.is_dir():
            raise SemisynthError(f"{out}: expected a file to replace, received a folder")
        return
    if out.is_symlink() or not out.is_dir():
        raise SemisynthError(f"{out}: expected a folder to replace, received a file or a link")
    foreign = next((path for path in out.rglob("*") if path.is_symlink() or not _could_be_ours(path, out)), None)
    if foreign is not None:
        raise SemisynthError(f"{out}: not replaced, since it holds {foreign.relative_to(out)}, which is no sample")


def _could_be_ours(path: Path, out: Path) -> bool:
    """Whether `path` is a class folder of samples in `out`, or a sample: digits and .png."""
    if path.is_dir():
        return path.parent == out
    return path.suffix == ".png" and path.stem.isdecimal()
