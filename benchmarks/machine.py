"""What the benchmarks share: this machine, the commit, and the time and memory of a command."""

import csv
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[1]
SECONDS_BETWEEN_SAMPLES, SECONDS_TO_END = 0.5, 30


class Run(NamedTuple):
    """Wall seconds of a command, and the peak of resident memory, in bytes, of it and all its children."""

    seconds: float
    peak: int


class Failed(SystemExit):
    """A command ended with a `status` other than 0: ends this program too, unless somebody catches it."""

    def __init__(self, command: Sequence[str], status: int) -> None:
        super().__init__(f"error: `{' '.join(command)}` ended with status {status}; no report was written")
        self.status = status


def git(*arguments: str, folder: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def clone_head(clone: Path, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Clone HEAD, with other values in sections of its params.yaml; return all parameters.

    No mirror and no network ends a run in the clone: other images would be measured in the data set's name.
    """
    from ruamel.yaml import YAML  # here, since pyod's environment has none

    git("clone", "--quiet", str(ROOT), str(clone), folder=ROOT)
    yaml = YAML(typ="safe", pure=True)  # builds plain values alone
    params: dict[str, Any] = yaml.load(clone / "params.yaml")
    params["download"]["fallback"] = None
    for section, values in changes.items():
        params[section] |= values
    yaml.dump(params, clone / "params.yaml")
    return params


def measured(command: Sequence[str], folder: Path) -> Run:
    """Run `command` in `folder`, with this interpreter's tools and the folder's own sources; Failed if it fails.

    The command ends with this process, unless that is killed by SIGKILL.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": tools, "PYTHONPATH": str(folder / "src")}
    start, peak = time.monotonic(), 0
    process = psutil.Popen(command, cwd=folder, env=environment)
    try:
        while process.poll() is None:
            peak = max(peak, resident(process))
            time.sleep(SECONDS_BETWEEN_SAMPLES)
    finally:
        end(process)
    if process.returncode:
        raise Failed(command, process.returncode)
    return Run(time.monotonic() - start, peak)


def end(process: psutil.Process) -> None:
    """End a process and all its children, where they still run, and wait until they have."""
    with suppress(psutil.NoSuchProcess):
        found = [*process.children(recursive=True), process]
        for one in found:
            with suppress(psutil.NoSuchProcess):
                one.terminate()
        for one in psutil.wait_procs(found, timeout=SECONDS_TO_END)[1]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def resident(process: psutil.Process) -> int:
    """Resident bytes of a process and all its children; pages that they share count for each."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # ended between the listing and the look: the next sample is half a second away
    return total


def known_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a table that earlier runs wrote; none where it does not exist."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def commit_of(folder: Path = ROOT) -> str:
    """The commit that is checked out in `folder`, twelve digits, and `+` where its sources were changed since."""
    changed = git("status", "--porcelain", "--", "src", folder=folder)
    return git("rev-parse", "HEAD", folder=folder)[:12] + ("+" if changed else "")


def processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def cores() -> int:
    """Count the cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
