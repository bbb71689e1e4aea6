"""Where a known data set can be had: the mirror that the user names, then the public ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from semisynth.data.sources import Source
from semisynth.errors import SemisynthError

Kind = Literal["mirror", "public"]
KINDS: tuple[Kind, ...] = ("mirror", "public")


@dataclass(frozen=True)
class Mirror:
    """A folder that holds one data set's packed files: a URL or a path; `kind` tells who named it."""

    kind: Kind
    folder: str | Path

    def __str__(self) -> str:
        """Name the host (without user name or password) or the path."""
        return str(urlsplit(self.folder).hostname) if isinstance(self.folder, str) else str(self.folder)

    def place_of(self, name: str) -> str | Path:
        """Return the URL or path of the file `name`."""
        return f"{self.folder}/{name}" if isinstance(self.folder, str) else self.folder / name


def mirrors_of(source: Source, configured: str | None) -> list[Mirror]:
    """List the mirrors of `source` in the order in which they are tried.

    `configured`: an http, https or file URL, or a folder, that holds a folder per data set; None or empty
    leaves the public ones. SemisynthError where it is none of these.
    """
    public = [Mirror("public", url) for url in source.public]
    return [Mirror("mirror", _place(configured, source.name)), *public] if configured else public


def _place(configured: str, dataset: str) -> str | Path:
    if "://" not in configured:
        try:
            return Path(configured).expanduser() / dataset
        except RuntimeError as error:  # nobody of that name has a home
            raise SemisynthError(f"expected a mirror's URL or folder, received {configured!r}: {error}") from error
    try:
        parts = urlsplit(configured)
        host, _ = parts.hostname, parts.port  # a wrong port raises ValueError
    except ValueError as error:
        raise SemisynthError(f"expected a mirror's URL or folder, received none: {error}") from error
    if parts.scheme in ("http", "https") and host:
        return f"{configured.rstrip('/')}/{dataset}"
    if parts.scheme == "file" and host in (None, "localhost"):
        return Path(url2pathname(parts.path)) / dataset
    raise SemisynthError(
        f"expected an http, https or file URL, or a folder, received a URL of scheme {parts.scheme!r}"
    )
