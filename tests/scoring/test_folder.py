import errno
import fcntl
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semisynth.errors import SemisynthError
from semisynth.scoring.durable import durable_file, full_disk_named, sync_folder
from semisynth.scoring.folder import claim, gather_quarantine, locked, manifest_of, pending, staging
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.parts import (
    QUARANTINE_SCHEMA,
    part_path,
    quarantine_path,
    read_state,
    staging_path,
    state_path,
)
from semisynth.scoring.pieces import Piece

OPTIONS = JobOptions()
PIECES = [Piece(index, "npz", "x.npz", 10 * index, 10) for index in range(2)]


@pytest.fixture
def task(tmp_path):
    """A task whose output folder is there, and empty."""
    (tmp_path / "out").mkdir()
    return Task(tmp_path / "model", "digest", tmp_path / "out", OPTIONS)


@pytest.fixture
def finished(task):
    """Its output folder with both pieces finished, the second one with a bad row."""
    with staging(task):
        for piece, bad in zip(PIECES, ({}, {"null": 1}), strict=True):
            part_path(task.out, piece.index, "parquet").write_bytes(b"part")
            counts = {"rows": 9, "anomalies": 0, "quarantined": bad, "worst": []}
            state_path(task.out, piece.index).write_text(json.dumps(counts))
    row = pa.table({"file": ["x.npz"], "row": [13], "reason": ["null"]}, QUARANTINE_SCHEMA)
    pq.write_table(row, quarantine_path(task.out, 1))
    return task.out


@pytest.fixture
def synced(monkeypatch):
    """The names of the files and folders that were waited for until they were on the disk, in order."""
    names, fsync = [], os.fsync

    def watched(handle):
        names.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    return names


def manifest(model="a"):
    return manifest_of(model, OPTIONS, [], 2)


@pytest.mark.parametrize("name", ["parts/part-000001.parquet", "quarantine.parquet", "explain"])
def test_output_without_a_manifest_is_refused(tmp_path, name):
    out = tmp_path / "out"
    with locked(out):
        claim(out, manifest())
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"of another model")
        (out / "manifest.json").unlink()
    message = rf"out: expected manifest\.json of the job that wrote here, found {name} without it"
    with locked(out), pytest.raises(SemisynthError, match=message):
        claim(out, manifest("b"))
    assert not (out / "manifest.json").exists()


def test_what_a_job_left_that_was_killed_before_its_manifest_is_no_output(tmp_path):
    out = tmp_path / "out"
    with locked(out):
        (out / ".manifest.json.abcdefgh.part").write_text("half")
        (out / "parts").mkdir()
    with locked(out):
        claim(out, manifest())
    assert sorted(path.name for path in out.iterdir()) == [".lock", "manifest.json", "parts"]


def fail(out, before=lambda: None):
    """A job that fails, after it has done something."""
    with locked(out):
        assert (out / ".lock").exists()
        before()
        raise SemisynthError("no rows")


def test_a_job_that_fails_before_its_manifest_leaves_nothing(tmp_path):
    with pytest.raises(SemisynthError, match="no rows"):
        fail(tmp_path / "new" / "deep" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_fails_before_its_manifest_leaves_what_was_there(tmp_path):
    (tmp_path / "out" / "parts").mkdir(parents=True)
    with pytest.raises(SemisynthError, match="no rows"):
        fail(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["parts"]


def test_a_job_that_fails_after_its_manifest_keeps_its_folder(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SemisynthError, match="no rows"):
        fail(out, lambda: claim(out, manifest()))
    assert sorted(path.name for path in out.iterdir()) == [".lock", "manifest.json"]


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(stream, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(SemisynthError, match=r"out: can't be locked \(No locks available\)"):
        fail(tmp_path / "new" / "out")
    left = [path.name for path in (tmp_path / "new" / "out").iterdir()]
    assert left == [".lock"]  # it may be another job's, which got hold of it


def test_a_lock_that_was_deleted_as_it_was_taken_is_no_lock(tmp_path, monkeypatch):
    out, flock, taken = tmp_path / "out", fcntl.flock, []

    def late(stream, how):
        if not taken:
            (out / ".lock").unlink()  # by a job that failed, since this one opened it
        taken.append(how)
        flock(stream, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(out):
        assert (out / ".lock").exists()
        with pytest.raises(SemisynthError, match="another job is writing here"), locked(out):
            raise AssertionError
    assert len(taken) == 3


def test_the_manifest_and_its_name_are_on_the_disk_before_any_part(tmp_path, synced):
    claim(tmp_path, manifest())
    assert [name.partition(".json")[0] for name in synced] == [".manifest", tmp_path.name]
    claim(tmp_path, manifest())
    assert len(synced) == 2


def test_a_folder_that_cannot_be_waited_for_is_no_error(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(os, "fsync", refuse)
    refused = 22  # EINVAL
    sync_folder(tmp_path)
    refused = 5  # EIO
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


def test_finished_pieces_stay(finished):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert pending(finished, PIECES, OPTIONS) == []
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", ["part", "state", "half a state", "no counts", "other state", "quarantine"])
def test_a_piece_that_lacks_something_is_scored_again_from_nothing(finished, damage):
    state = state_path(finished, 1)
    if damage in ("part", "state", "quarantine"):
        paths = {"part": part_path(finished, 1, "parquet"), "state": state}
        paths.get(damage, quarantine_path(finished, 1)).unlink()
    else:
        state.write_text(
            {"half a state": '{"rows": 9, "an', "no counts": '{"rows": 9}', "other state": "[]"}[damage]
        )
    assert pending(finished, PIECES, OPTIONS) == [PIECES[1]]
    assert sorted(path.name for path in finished.rglob("*") if path.is_file()) == [
        "000000.json",
        "part-000000.parquet",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "found no file"), ("{", "received Expecting property name"), ("[7]", r"received \[7\]")],
)
def test_counts_that_cannot_be_read_are_named(task, text, message):
    if text is not None:
        (task.out / ".state").mkdir()
        state_path(task.out, 0).write_text(text)
    with pytest.raises(SemisynthError, match=rf"000000\.json: expected the counts of a part, {message}"):
        read_state(task.out, 0)


def test_rows_are_quarantined_where_the_counts_tell_of_them(finished):
    gather_quarantine(finished, PIECES)
    assert pq.read_table(finished / "quarantine.parquet")["row"].to_pylist() == [13]
    quarantine_path(finished, 0).write_bytes(b"what no counts tell of is not read")
    gather_quarantine(finished, PIECES)
    gather_quarantine(finished, PIECES[:1])
    assert not (finished / "quarantine.parquet").exists()


def test_each_run_has_a_staging_folder_of_its_own_which_goes_with_it(task):
    other = Task(task.model, task.digest, task.out, OPTIONS)
    assert staging_path(task) != staging_path(other)
    with staging(task):
        assert list((task.out / ".state").iterdir()) == [staging_path(task)]
    assert list((task.out / ".state").iterdir()) == []


def test_a_worker_that_outlived_its_run_puts_nothing_in_place(task):
    """Its driver was killed, and another run has begun: neither what it was writing nor anything new appears."""
    orphan, path = Task(task.model, task.digest, task.out, OPTIONS), part_path(task.out, 0, "parquet")
    killed = staging(orphan)
    killed.__enter__()
    with staging(task):
        alive = durable_file(path, staging_path(task))
        alive.__enter__().write(b"new")
        assert not staging_path(orphan).exists()
        with pytest.raises(FileNotFoundError), durable_file(path, staging_path(orphan)):
            pass
        alive.__exit__(None, None, None)
    assert path.read_bytes() == b"new"


def test_what_an_orphan_was_writing_goes_when_the_next_run_begins(task):
    orphan, path = Task(task.model, task.digest, task.out, OPTIONS), part_path(task.out, 0, "parquet")
    killed = staging(orphan)
    killed.__enter__()
    with pytest.raises(FileNotFoundError), durable_file(path, staging_path(orphan)) as stream, staging(task):
        stream.write(b"old")
    assert not path.exists()
    assert list((task.out / ".state").iterdir()) == []


def test_two_writers_of_one_part_leave_each_other_alone(task):
    path = part_path(task.out, 0, "parquet")
    with staging(task):
        with durable_file(path, staging_path(task)) as one, durable_file(path, staging_path(task)) as two:
            one.write(b"same")
            two.write(b"same")
        assert path.read_bytes() == b"same"


def test_a_full_disk_is_named_and_other_errors_are_left_alone(tmp_path):
    with (
        pytest.raises(SemisynthError, match="no space left on the disk; finished parts are kept"),
        full_disk_named(tmp_path),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(PermissionError), full_disk_named(tmp_path):
        raise PermissionError(13, "Permission denied")
