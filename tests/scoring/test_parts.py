"""Killed at any rename, a job goes on and ends as one that was not: in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from semisynth.scoring.folder import staging
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.parts import PartWriter, is_finished
from semisynth.scoring.pieces import Decoded, Piece

KILLED = 7
JOB = f"""
import os, sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from semisynth.scoring.folder import claim, gather_quarantine, locked, manifest_of, pending, staging, totals
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.parts import PartWriter
from semisynth.scoring.pieces import Decoded, Piece

out, killed_at = Path(sys.argv[1]), int(sys.argv[2])
options = JobOptions(explain=2)
task = Task(Path("model"), "digest", out, options)
pieces = [Piece(index, "npz", "x.npz", 4 * index, 4) for index in range(2)]
replace, renames = Path.replace, 0


def counted(path, target):
    global renames
    if path.parent.name.startswith("run-"):  # of a part, or of what stands beside it
        renames += 1
        if renames == killed_at:
            os._exit({KILLED})
    return replace(path, target)


Path.replace = counted
with locked(out):
    claim(out, manifest_of("digest", options, [], 2))
    with staging(task):
        for piece in pending(out, pieces, options):
            names, scores = [str(piece.start + row) for row in (0, 2, 3)], [0.1, 0.2, 0.3]
            table = pa.table(dict(id=names, score=scores, p_value=scores, is_anomaly=[True, False, False]))
            with PartWriter(task, piece, table.schema).opened() as part:
                part.add(Decoded(names, np.array([0, 2, 3]), np.empty((3, 2, 2), np.uint8), [(1, "null")]), table)
    assert totals(out, pieces, 2)["quarantined"] == dict(null=2)
    gather_quarantine(out, pieces)
"""


def start(out, killed_at=0):
    """Run the job; its exit status."""
    return subprocess.run([sys.executable, "-c", JOB, str(out), str(killed_at)], check=False).returncode


def contents(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a job writes that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert start(out) == 0
    return contents(out)


@pytest.mark.parametrize("killed_at", range(1, 7))
def test_killed_before_any_rename_it_ends_with_the_same_output(whole, tmp_path, killed_at):
    out = tmp_path / "out"
    assert start(out, killed_at) == KILLED
    done = (killed_at - 1) // 3  # quarantine, counts and part of each piece
    assert [is_finished(out, index, "parquet") for index in range(2)] == [done > 0, False]
    assert len(list((out / ".state").glob("quarantine-*"))) == done + ((killed_at - 1) % 3 > 0)
    assert start(out) == 0
    assert contents(out) == whole


def test_what_says_that_a_piece_is_done_comes_last_and_all_else_is_on_the_disk_before(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, Path.replace

    def synced(handle):
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        events.append(f"sync {name.partition('.parquet')[0].partition('.json')[0]}")
        fsync(handle)

    def renamed(path, target):
        events.append(f"rename {target.name}")
        return replace(path, target)

    task = Task(tmp_path / "model", "digest", tmp_path, JobOptions())
    table = pa.table({"id": ["a"], "score": [0.1], "p_value": [0.1], "is_anomaly": [True]})
    rows = Decoded(["a"], np.array([0]), np.empty((1, 2, 2), np.uint8), [(1, "null")])
    with staging(task):
        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "replace", renamed)
        with PartWriter(task, Piece(0, "npz", "x.npz", 0, 2), table.schema).opened() as part:
            part.add(rows, table)
    assert events == [
        "sync quarantine-000000",
        "rename quarantine-000000.parquet",
        "sync .state",
        "sync 000000",
        "rename 000000.json",
        "sync .state",
        "sync part-000000",
        "rename part-000000.parquet",
        "sync parts",
    ]
