"""Whether an input is still the file that the job began with: told by its size and its time of change."""

import os

from semisynth.errors import SemisynthError


def stamp_of(path: str) -> str:
    """Size in bytes and time of change in nanoseconds; empty where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116, as fast as can be: it is done for every picture
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


def check_stamp(path: str, expected: str) -> None:
    """Raise SemisynthError where the file has another stamp."""
    received = stamp_of(path)
    if received != expected:
        name = path.encode(errors="backslashreplace").decode()
        raise SemisynthError(
            f"{name}: changed during the job: size and time of change {expected or '(no such file)'} expected, "
            f"received {received or 'no such file'}"
        )
