"""A known data set's four files, from the first mirror that gives them whole and genuine."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from semisynth.data.idx import TEST_FILES, TRAIN_FILES, read_pair
from semisynth.data.imageset import ImageSet
from semisynth.data.mirrors import KINDS, Kind, Mirror
from semisynth.data.sources import Source
from semisynth.data.transfer import TransferError, Watch, check_reachable, transfer, unwatched
from semisynth.errors import SemisynthError

logger = logging.getLogger(__name__)


class NoMirrorError(SemisynthError):
    """No mirror gave the data set; the line says what failed at each."""


@dataclass(frozen=True)
class Fetched:
    """A data set as its mirrors give it, and which kind of mirror gave it."""

    train: ImageSet
    test: ImageSet
    kind: Kind


@dataclass(frozen=True)
class Downloader:
    """How patiently mirrors are asked.

    `timeout`: seconds without a byte; `attempts`: tries for a file at one mirror, with waits of 1, 2, 4, ...
    seconds between them; `watch` shows progress; `sleep` takes seconds.
    """

    timeout: float
    attempts: int
    watch: Watch = unwatched
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, source: Source, mirrors: Sequence[Mirror], cache: Path) -> Fetched:
        """Fetch `source` into the folder `cache`, or take the copy that is there, its digests checked again.

        A file with another digest is set aside as `*.rejected`, and the next mirror is tried. Raises
        NoMirrorError with what failed at each mirror.
        """
        for kind in KINDS:
            if not _missing(source, cache / kind):
                return _load(source, cache / kind, kind)
        failures = []
        for mirror in mirrors:
            try:
                self._fetch_from(mirror, source, cache / mirror.kind)
                return _load(source, cache / mirror.kind, mirror.kind)
            except TransferError as error:
                failures.append(f"{mirror}: {error}")
                logger.warning("%s: no luck at %s", source.name, failures[-1])
        raise NoMirrorError(f"{source.name}: no mirror gave it ({'; '.join(failures) or 'there is none'})")

    def _fetch_from(self, mirror: Mirror, source: Source, folder: Path) -> None:
        missing = _missing(source, folder)
        if missing and isinstance(mirror.folder, str):
            check_reachable(mirror.folder)
        for file in missing:
            target = _packed(folder, file)
            self._transfer(mirror.place_of(target.name), target)
            _check(source, file, target)

    def _transfer(self, place: str | Path, target: Path) -> None:
        for attempt in count(1):
            try:
                transfer(place, target, timeout=self.timeout, watch=self.watch)
                return
            except TransferError as error:
                if not error.passing or attempt >= self.attempts:
                    raise TransferError(f"{target.name}: {error}") from error
            self.sleep(2.0 ** (attempt - 1))


def _packed(folder: Path, file: str) -> Path:
    return folder / f"{file}.gz"


def _missing(source: Source, folder: Path) -> list[str]:
    """List the files of which `folder` has no genuine copy."""
    return [file for file in source.digests if not _is_genuine(source, file, _packed(folder, file))]


def _is_genuine(source: Source, file: str, path: Path) -> bool:
    if not path.exists():
        return False
    try:
        _check(source, file, path)
    except TransferError as error:
        logger.warning("%s: unusable copy: %s", source.name, error)
        return False
    return True


def _check(source: Source, file: str, path: Path) -> None:
    """Set `path` aside, and raise TransferError, unless it is the genuine `file`."""
    try:
        source.check(file, path)
    except SemisynthError as error:
        aside = path.replace(path.with_name(f"{path.name}.rejected"))
        raise TransferError(f"{error}; set aside as {aside}") from error


def _load(source: Source, folder: Path, kind: Kind) -> Fetched:
    def images_of(files: tuple[str, str]) -> ImageSet:
        images, labels = read_pair(*(_packed(folder, file) for file in files))
        return ImageSet(images, labels, source.class_names, source.name, pool=len(images), source=str(folder))

    return Fetched(images_of(TRAIN_FILES), images_of(TEST_FILES), kind)
