"""What the benchmarks share: this machine, the commit, and the time and memory of a command."""

import csv
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
SECONDS_BETWEEN_SAMPLES = 0.5


class Run(NamedTuple):
    """Wall seconds of a command, and the peak of resident memory, in bytes, of it and all its children."""

    seconds: float
    peak: int


def git(*arguments: str, folder: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def clone_head(clone: Path, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Clone HEAD, with other values in sections of its params.yaml; return all parameters."""
    git("clone", "--quiet", str(ROOT), str(clone), folder=ROOT)
    yaml = YAML(typ="safe", pure=True)  # builds plain values alone
    params: dict[str, Any] = yaml.load(clone / "params.yaml")
    for section, values in changes.items():
        params[section] |= values
    yaml.dump(params, clone / "params.yaml")
    return params


def measured(command: Sequence[str], folder: Path) -> Run:
    """Run `command` in `folder`, with this interpreter's tools and the folder's own sources; exit if it fails."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": tools, "PYTHONPATH": str(folder / "src")}
    start, peak = time.monotonic(), 0
    process = psutil.Popen(command, cwd=folder, env=environment)
    while process.poll() is None:
        peak = max(peak, resident(process))
        time.sleep(SECONDS_BETWEEN_SAMPLES)
    if process.returncode:
        sys.exit(f"error: `{' '.join(command)}` ended with status {process.returncode}; no report was written")
    return Run(time.monotonic() - start, peak)


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


def processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def cores() -> int:
    """Count the cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
