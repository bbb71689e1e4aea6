"""What every stage's command line shares: options, errors, exit status, and a record of time and memory."""

import contextlib
import csv
import errno
import fcntl
import functools
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import psutil
import typer

from semisynth.errors import SemisynthError, UsageError

InputPath = Annotated[Path, typer.Option(help="read")]
OutputPath = Annotated[Path, typer.Option(help="written")]
ParamsPath = Annotated[Path, typer.Option(help="parameters")]

STATE = Path(".semisynth")
TIMINGS = STATE / "timings.csv"
USAGE, INTERRUPTED = 2, 130


def run_stage(stage: Callable[..., None]) -> None:
    """Run `stage` with its arguments taken from the command line; exit with 0, 1 (failed), 2 (usage) or 130."""

    @functools.wraps(stage)
    def command(**arguments: Path) -> None:
        def alone() -> None:
            with _only_one(stage.__name__):
                stage(**arguments)

        with_clear_errors(alone)
        _record(stage.__name__)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name=stage.__name__)(command)
    app(prog_name=f"python -m {stage.__module__}" if stage.__module__ != "__main__" else None)


def with_clear_errors(work: Callable[[], None]) -> None:
    """Call `work`; an error that a user can mend becomes one line on the error stream and exit status 1.

    Wrong usage of a command ends with 2.
    A request to end (SIGTERM) is taken as Ctrl-C, so that temporary files go.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of each pass that is compiled anew
    try:
        work()
    except UsageError as error:
        fail(str(error), USAGE)
    except SemisynthError as error:
        fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        reason = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror
        fail(f"{where}{reason}")
    except KeyboardInterrupt:
        print("interrupted; run it again", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


@contextlib.contextmanager
def _only_one(stage: str) -> Iterator[None]:
    """Hold the stage's lock in this folder; SemisynthError where another process does.

    A kill of DVC alone leaves its stage running, and a second one would share its state. The system lets go of the
    lock when the process ends, however it ends. Where the file system has no locks, nothing is held.
    """
    with contextlib.ExitStack() as held:
        try:
            STATE.mkdir(exist_ok=True)
            stream = held.enter_context((STATE / f"{stage}.lock").open("a+", encoding="utf-8"))
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stream.truncate(0)
            print(os.getpid(), file=stream, flush=True)
        except BlockingIOError:
            stream.seek(0)
            raise SemisynthError(
                f"stage `{stage}` is still running in this folder, as process {stream.read().strip()}; "
                "wait until it ends, or end it"
            ) from None
        except OSError:
            pass
        yield


def fail(message: str, status: int = 1) -> None:
    """Print `error: message` and exit with `status`."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(status)


def _record(stage: str) -> None:
    """Append wall seconds and peak memory; apart from the metrics, which must not change from run to run."""
    seconds = time.time() - psutil.Process().create_time()
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    with contextlib.suppress(OSError):  # bookkeeping: a stage that has succeeded does not fail for it
        TIMINGS.parent.mkdir(exist_ok=True)
        fresh = not TIMINGS.exists()
        with TIMINGS.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if fresh:
                writer.writerow(["stage", "seconds", "peak_mib"])
            writer.writerow([stage, f"{seconds:.1f}", f"{peak:.0f}"])
