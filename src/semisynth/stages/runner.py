"""What every stage's command line shares: options, errors, exit status, and a record of time and memory."""

import contextlib
import csv
import errno
import functools
import logging
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import psutil
import typer

from semisynth.errors import SemisynthError, UsageError

InputPath = Annotated[Path, typer.Option(help="read")]
OutputPath = Annotated[Path, typer.Option(help="written")]
ParamsPath = Annotated[Path, typer.Option(help="parameters")]

TIMINGS = Path(".semisynth") / "timings.csv"
USAGE, INTERRUPTED = 2, 130


def run_stage(stage: Callable[..., None]) -> None:
    """Run `stage` with its arguments taken from the command line; exit with 0, 1 (failed), 2 (usage) or 130."""

    @functools.wraps(stage)
    def command(**arguments: Path) -> None:
        with_clear_errors(functools.partial(stage, **arguments))
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
