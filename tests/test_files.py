import hashlib
import json
import math
import os
import shutil
from pathlib import Path

import pytest

from semisynth.files import (
    read_json,
    replacing_file,
    replacing_folder,
    sha256_of,
    write_csv,
    write_json,
    write_text,
)


class InterruptedWriteError(Exception):
    """Stands for whatever ends a write half-way."""


def write_half(target: Path, error: type[BaseException]) -> None:
    with replacing_file(target) as temporary:
        temporary.write_text("hal")
        raise error


def write_half_of_folder(target: Path, error: type[BaseException]) -> None:
    with replacing_folder(target) as temporary:
        (temporary / "half").write_text("new")
        raise error


def write_fresh(target: Path) -> None:
    with replacing_folder(target) as temporary:
        (temporary / "fresh").write_text("new")


def test_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file.txt"
    with replacing_file(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == target.parent  # so that the rename stays on one file system
    assert target.read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [InterruptedWriteError, KeyboardInterrupt])
def test_interrupted_file_leaves_the_old_one_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(error):
        write_half(target, error)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_file_is_readable_by_others_as_usual(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "text")
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o644


def test_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "stale").write_text("old")
    with replacing_folder(target) as temporary:
        (temporary / "fresh").write_text("new")
        assert (target / "stale").exists()
        assert not (target / "fresh").exists()
    assert [path.name for path in target.iterdir()] == ["fresh"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_is_never_half_deleted_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be deleted any more, as after a kill, the new folder stands and the old one is aside."""
    target = tmp_path / "folder"
    target.mkdir()
    (target / "stale").write_text("old")
    with monkeypatch.context() as patched, replacing_folder(target) as temporary:
        (temporary / "fresh").write_text("new")
        patched.setattr(shutil, "rmtree", lambda *given, **options: None)
    assert [path.name for path in target.iterdir()] == ["fresh"]
    with replacing_folder(target) as temporary:
        (temporary / "fresh").write_text("newer")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_kill_left_of_an_old_folder_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "kept").write_text("old")
    with monkeypatch.context() as patched, replacing_folder(target):
        patched.setattr(shutil, "rmtree", lambda *given, **options: None)
    target.rmdir()  # as DVC does before a stage runs
    with pytest.raises(InterruptedWriteError):
        write_half_of_folder(target, InterruptedWriteError)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_a_kill_left_aside_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, replace = tmp_path / "folder", Path.replace
    target.mkdir()
    (target / "kept").write_text("old")

    def killed(path: Path, to: Path) -> Path:
        if to == target:
            raise KeyboardInterrupt
        return replace(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_fresh(target)
    assert not target.exists()
    with pytest.raises(InterruptedWriteError):
        write_half_of_folder(target, InterruptedWriteError)
    assert [path.name for path in target.iterdir()] == ["kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_cannot_be_renamed_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, replace = tmp_path / "folder", Path.replace
    target.mkdir()
    (target / "kept").write_text("old")

    def refuse(path: Path, to: Path) -> Path:
        if to == target and (path / "fresh").exists():
            raise OSError("no")
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no"), replacing_folder(target) as temporary:
        (temporary / "fresh").write_text("new")
    assert [path.name for path in target.iterdir()] == ["kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("error", [InterruptedWriteError, KeyboardInterrupt])
def test_interrupted_folder_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "kept").write_text("old")
    with pytest.raises(error):
        write_half_of_folder(target, error)
    assert [path.name for path in target.iterdir()] == ["kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "é", "value": 0.1, "inner": {"n": 1}})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == json.loads(text) == {"name": "é", "value": 0.1, "inner": {"n": 1}}
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "value"), (b"{", "property name"), (100_000 * b"[", "nested too deeply"), (b"\xff", "decode")],
)
def test_what_is_no_json_is_a_value_error(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_has_no_nan_and_no_infinity(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": value})
    assert not list(tmp_path.iterdir())


def test_csv(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["name", "value"], [{"name": "a,b", "value": 1}, {"name": "c", "value": 0.5}])
    assert (tmp_path / "a.csv").read_text() == 'name,value\n"a,b",1\nc,0.5\n'


def test_csv_with_an_unknown_column_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other"):
        write_csv(tmp_path / "a.csv", ["name"], [{"name": "a"}, {"name": "b", "other": 1}])
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_attempt(tmp_path: Path) -> None:
    (tmp_path / ".folder.abcdefgh.part").mkdir()
    (tmp_path / ".file.txt.abcdefgh.part").write_text("half")
    others = [".folder.txt.abcdefgh.part", ".other.txt.abcdefgh.part"]
    for name in others:
        (tmp_path / name).write_text("of another target")
    write_text(tmp_path / "file.txt", "whole")
    with replacing_folder(tmp_path / "folder"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [*others, "file.txt", "folder"]


def test_files_are_on_the_disk_before_they_take_their_name(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, Path.replace

    def sync(handle):
        events.append(os.fstat(handle).st_size)
        fsync(handle)

    def take_name(path, target):
        events.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", take_name)
    write_text(tmp_path / "file", "12345")
    assert events == [5, "file"]
    events.clear()
    with replacing_folder(tmp_path / "folder") as inside:
        (inside / "below").mkdir()
        (inside / "below" / "one").write_text("1")
        (inside / "two").write_text("22")
    assert (sorted(events[:2]), events[2:]) == ([1, 2], ["folder"])
