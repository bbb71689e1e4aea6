"""Files that outlast a power cut: on the disk before they take their name, as is the name before the next step."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from semisynth.errors import SemisynthError

NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)  # of file systems such as mounted object storage


@contextmanager
def durable_file(target: Path, staging: Path) -> Iterator[BinaryIO]:
    """Yield a stream to a file in `staging`; it takes `target`'s place if the block succeeds, else it goes.

    `staging` is a folder on the file system of `target`, whose own folder must be there as well.
    """
    handle, name = tempfile.mkstemp(prefix=f"{target.name}.", dir=staging)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            sync_file(stream)
        temporary.chmod(0o644)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(stream: BinaryIO) -> None:
    """Wait until the file is on the disk: else a power cut could leave its name without its content."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in the folder are on the disk, where its file system can tell."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


@contextmanager
def full_disk_named(out: Path) -> Iterator[None]:
    """Turn a full disk into a SemisynthError that names the output folder, and says how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise SemisynthError(
            f"{out}: no space left on the disk; finished parts are kept, make room and run it again to go on"
        ) from error
