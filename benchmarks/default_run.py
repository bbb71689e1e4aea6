"""Run the whole pipeline in a fresh clone of HEAD, as a user would, and write benchmarks/default_run.md.

    python benchmarks/default_run.py [--keep-results]

SEMISYNTH_MIRROR is taken from the environment. Uncommitted changes are not in the clone. With --keep-results the
clone's `results/` and `dvc.lock` take the place of those in the working tree, and its rows go to label_budget.csv.
"""

import argparse
import csv
import os
import platform
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import label_budget
import psutil
from machine import ROOT, Run, commit_of, cores, git, measured, processor
from ruamel.yaml import YAML

from semisynth.files import replacing_folder, write_text
from semisynth.reporting.tables import markdown_table

REPORT = ROOT / "benchmarks" / "default_run.md"
COMMAND = ("dvc", "repro")
MEMORY_NOTE = """\
Memory is resident memory: for a stage that of its own process, for all that of DVC and its children together. The
time for all includes DVC's own work and the start of each stage.
"""
PACKAGES = ("tensorflow", "keras", "scikit-learn", "lightgbm", "dvc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep-results", action="store_true", help="copy results/ and dvc.lock back")
    keep = parser.parse_args().keep_results
    with tempfile.TemporaryDirectory(prefix="default-run-") as temporary:
        clone = Path(temporary) / "clone"
        git("clone", "--quiet", str(ROOT), str(clone), folder=ROOT)
        run = measured(COMMAND, clone)
        write_text(REPORT, report(clone, run))
        if keep:
            keep_results(clone)
            label_budget.add_rows(clone, params_of(clone)["split"]["seed"], run)
            label_budget.write_page()
    print(f"{REPORT.relative_to(ROOT)} written")


def report(clone: Path, run: Run) -> str:
    table = (clone / "results" / "compare" / "table.md").read_text(encoding="utf-8")
    parts = [
        "# The default run\n",
        f"`{' '.join(COMMAND)}` in a fresh clone, with the committed `params.yaml`. Measured, and this page\n"
        "written, by `python benchmarks/default_run.py`.\n",
        "".join(f"- {name}: {value}\n" for name, value in circumstances(clone).items()),
        "## Time and memory\n",
        markdown_table(("stage", "wall time", "peak memory"), stage_rows(clone, run), "lrr"),
        MEMORY_NOTE,
        table.replace("\n## ", "\n### ").replace("# ", "## ", 1).rstrip() + "\n",
    ]
    return "\n".join(parts)


def params_of(clone: Path) -> dict[str, Any]:
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(clone / "params.yaml")
    return params


def circumstances(clone: Path) -> dict[str, str]:
    """Machine, software, commit, time and seeds; no names of hosts or paths."""
    params = params_of(clone)
    memory = psutil.virtual_memory().total
    return {
        "machine": f"{processor()}, {cores()} cores, {gib(memory)} of memory, {platform.system()}",
        "software": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
        "commit": commit_of(clone),
        "finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "mirror": "given by SEMISYNTH_MIRROR" if os.environ.get("SEMISYNTH_MIRROR") else "public",
        "seeds": ", ".join(f"{section} {keys['seed']}" for section, keys in params.items() if "seed" in keys),
    }


def stage_rows(clone: Path, run: Run) -> list[tuple[str, str, str]]:
    """Give a row per stage, from what its runner recorded, and one for the whole command."""
    with (clone / ".semisynth" / "timings.csv").open(encoding="utf-8", newline="") as stream:
        stages = list(csv.DictReader(stream))
    rows = [(row["stage"], duration(float(row["seconds"])), gib(float(row["peak_mib"]) * 2**20)) for row in stages]
    return [*rows, ("**all**", f"**{duration(run.seconds)}**", f"**{gib(run.peak)}**")]


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


def keep_results(clone: Path) -> None:
    with replacing_folder(ROOT / "results") as temporary:
        shutil.copytree(clone / "results", temporary, dirs_exist_ok=True)
    for path in (
        clone / "dvc.lock",
        *(clone / "data").rglob(".gitignore"),
        *(clone / "models").glob(".gitignore"),
    ):
        target = ROOT / path.relative_to(clone)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


if __name__ == "__main__":
    main()
