import fcntl
import subprocess
import sys

import pytest
import typer

from semisynth.errors import SemisynthError, UsageError
from semisynth.stages.runner import with_clear_errors


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (SemisynthError("x.npz: damaged"), 1, "error: x.npz: damaged\n"),
        (UsageError("`--count` must be"), 2, "error: `--count` must be\n"),
        (OSError(28, "No space left on device", "a.npz"), 1, "error: a.npz: no space left on the disk\n"),
        (PermissionError(13, "Permission denied", "b.npz"), 1, "error: b.npz: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_that_a_user_can_mend_take_one_line(capsys, error, status, text):
    with pytest.raises(typer.Exit) as stopped:
        with_clear_errors(raising(error))
    assert stopped.value.exit_code == status
    message = capsys.readouterr().err
    assert message.startswith(text)
    assert message.count("\n") == 1


def test_a_defect_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        with_clear_errors(raising(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (
            ["--raw", "none", "--split", "out", "--results", "r", "--params", "none.yaml"],
            1,
            "error: none.yaml: no such file",
        ),
        (["--raw", "none"], 2, "Missing option"),
    ],
)
def test_a_stage_runs_as_a_module(tmp_path, arguments, status, text):
    command = [sys.executable, "-m", "semisynth.stages.split", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ([".semisynth"] if status == 1 else [])  # with its lock


def test_a_stage_that_still_runs_is_not_run_beside(tmp_path):
    (tmp_path / ".semisynth").mkdir()
    with (tmp_path / ".semisynth" / "split.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        print("4711", file=stream, flush=True)
        arguments = ["--raw", "none", "--split", "out", "--results", "r"]
        command = [sys.executable, "-m", "semisynth.stages.split", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: stage `split` is still running in this folder, as process 4711; wait until it ends, or end it"
    ]
