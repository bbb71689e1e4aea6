"""A known data set's four files from the first mirror that gives them whole and genuine."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from semisynth.data.idx import TEST_FILES, TRAIN_FILES, read_pair
from semisynth.data.imageset import ImageSet
from semisynth.data.sources import Source
from semisynth.data.transfer import TransferError, Watch, check_reachable, transfer, unwatched
from semisynth.errors import SemisynthError

Kind = Literal["mirror", "public"]

logger = logging.getLogger(__name__)


class NoMirrorError(SemisynthError):
    """No mirror gave the data set; the line says what failed at each."""


@dataclass(frozen=True)
class Mirror:
    """A folder that holds one data set's packed files: a URL or a path; `kind` tells who named it."""

    kind: Kind
    folder: str | Path

    def __str__(self) -> str:
        """The host (without user name or password) or the path."""
        return str(urlsplit(self.folder).hostname) if isinstance(self.folder, str) else str(self.folder)

    def file(self, name: str) -> str | Path:
        """The place of the packed file `name`."""
        packed = f"{name}.gz"
        return f"{self.folder}/{packed}" if isinstance(self.folder, str) else self.folder / packed


@dataclass(frozen=True)
class Fetched:
    """A data set as its mirrors give it, and which kind of mirror gave it."""

    train: ImageSet
    test: ImageSet
    kind: Kind


def mirrors_of(source: Source, configured: str | None) -> list[Mirror]:
    """The mirrors of `source` in the order in which they are tried: the configured one, then the public ones.

    `configured`: an http, https or file URL, or a folder, that holds a folder per data set.
    """
    public = [Mirror("public", url) for url in source.public]
    return [Mirror("mirror", _place(configured, source.name)), *public] if configured else public


def _place(configured: str, name: str) -> str | Path:
    if "://" not in configured:
        return Path(configured).expanduser() / name
    try:
        parts = urlsplit(configured)
        usable = parts.scheme == "file" or (parts.hostname and parts.port != 0)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("http", "https", "file"):
        raise SemisynthError(f"mirror: expected an http, https or file URL or a folder, received {configured!r}")
    return Path(url2pathname(parts.path)) / name if parts.scheme == "file" else f"{configured.rstrip('/')}/{name}"


@dataclass(frozen=True)
class Downloader:
    """How patiently mirrors are asked.

    `timeout`: seconds without a byte; `attempts`: tries for a file at one mirror, with waits of 1, 2, 4, ...
    seconds between them; `sleep` takes seconds; `watch` shows progress.
    """

    timeout: float
    attempts: int
    watch: Watch = unwatched
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, source: Source, mirrors: Sequence[Mirror], cache: Path) -> Fetched:
        """Fetch `source` into `cache`, or use the copy that is there, its digests checked again.

        A file with another digest is set aside as `*.rejected`, and the next mirror is tried. Raises
        NoMirrorError that says what failed at each mirror.
        """
        kinds: tuple[Kind, ...] = ("mirror", "public")
        for kind in kinds:
            if all(_is_genuine(source, name, cache / kind) for name in source.digests):
                logger.info("using the verified copy in %s", cache / kind)
                return _load(source, cache / kind, kind)
        failures = []
        for mirror in mirrors:
            try:
                self._fetch_from(mirror, source, cache / mirror.kind)
                return _load(source, cache / mirror.kind, mirror.kind)
            except TransferError as error:
                failures.append(f"{mirror}: {error}")
                logger.warning("%s: mirror %s", source.name, failures[-1])
        raise NoMirrorError(f"{source.name}: no mirror gave it ({'; '.join(failures) or 'there is none'})")

    def _fetch_from(self, mirror: Mirror, source: Source, cache: Path) -> None:
        missing = [name for name in source.digests if not _is_genuine(source, name, cache)]
        if missing and isinstance(mirror.folder, str):
            check_reachable(mirror.folder)
        for name in missing:
            target = cache / f"{name}.gz"
            self._transfer(mirror.file(name), target)
            _check(source, name, target)

    def _transfer(self, place: str | Path, target: Path) -> None:
        for attempt in range(self.attempts):
            try:
                return transfer(place, target, timeout=self.timeout, watch=self.watch)
            except TransferError as error:
                if not error.passing or attempt + 1 == self.attempts:
                    raise TransferError(f"{target.name}: {error}") from error
            self.sleep(2.0**attempt)
        raise TransferError(f"{target.name}: no attempt allowed")


def _is_genuine(source: Source, name: str, cache: Path) -> bool:
    path = cache / f"{name}.gz"
    if not path.exists():
        return False
    try:
        _check(source, name, path)
    except TransferError as error:
        logger.warning("%s: the copy in %s is unusable: %s", source.name, cache, error)
        return False
    return True


def _check(source: Source, name: str, path: Path) -> None:
    """Set the file aside, and raise TransferError, unless it is genuine."""
    try:
        source.check(name, path)
    except SemisynthError as error:
        aside = path.replace(path.with_name(f"{path.name}.rejected"))
        raise TransferError(f"{error}; set aside as {aside}") from error


def _load(source: Source, folder: Path, kind: Kind) -> Fetched:
    def images_of(names: tuple[str, str]) -> ImageSet:
        images, labels = read_pair(*(folder / f"{name}.gz" for name in names))
        return ImageSet(images, labels, source.class_names, source.name, pool=len(images), source=str(folder))

    return Fetched(images_of(TRAIN_FILES), images_of(TEST_FILES), kind)
