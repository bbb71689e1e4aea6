"""The Ray engine on a real cluster on this machine: two workers, in processes of their own."""

import builtins
import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from semisynth.errors import SemisynthError, UsageError
from semisynth.scoring import distributed, job, scorer
from semisynth.scoring.distributed import RayEngine, _absolute, _PieceScorer
from semisynth.scoring.folder import staging
from semisynth.scoring.model import digest_of, load_detector
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.parts import is_finished
from semisynth.scoring.pieces import Piece

OPTIONS = JobOptions(alpha=0.02, rows_per_part=10, explain=2)
WORKERS = 2


def test_where_ray_is_missing_the_message_names_it(monkeypatch):
    def without_ray(name, *arguments, **more):
        if name.startswith("ray"):
            raise ImportError("No module named 'ray'")
        return whole(name, *arguments, **more)

    whole = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(SemisynthError, match=r"needs Ray, which is not installed: pip install '\.\[ray\]'"):
        RayEngine()


def test_an_address_that_is_none_is_wrong_usage(monkeypatch, task):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(UsageError, match="`--ray-address node1`: "):
        RayEngine("node1")(None, task, [], print)


@pytest.fixture
def task(folder, tmp_path):
    """A task on the session's detector, with an output folder that is ready for its workers."""
    (tmp_path / "out").mkdir()
    started = Task(folder, digest_of(folder), tmp_path / "out", OPTIONS)
    with staging(started):
        yield started


@pytest.fixture
def worker(monkeypatch):
    """Makes a worker in this process, whose TensorFlow has its threads already; without Ray."""
    for name in ("set_intra_op_parallelism_threads", "set_inter_op_parallelism_threads"):
        monkeypatch.setattr(distributed.tf.config.threading, name, lambda count: None)
    return _PieceScorer


def asked(piece):
    return {"piece": [json.dumps(asdict(piece))]}


@pytest.fixture
def piece(noise, tmp_path):
    """A piece of an input of 30 images of which none can be scored."""
    np.savez(tmp_path / "x.npz", images=noise(0, 30).astype(np.float32))
    return Piece(0, "npz", str(tmp_path / "x.npz"), 0, 30)


def test_a_finished_piece_that_is_asked_for_again_is_left_alone(worker, task, piece, monkeypatch):
    assert worker(task, None)(asked(piece)) == {"rows": [30], "error": [""]}
    before = {path: path.stat().st_mtime_ns for path in task.out.rglob("*") if path.is_file()}
    assert is_finished(task.out, 0, "parquet")
    monkeypatch.setattr(distributed, "score_pieces", lambda *given, workers: pytest.fail("scored again"))
    assert worker(task, None)(asked(piece)) == {"rows": [30], "error": [""]}
    assert {path: path.stat().st_mtime_ns for path in task.out.rglob("*") if path.is_file()} == before


def test_a_full_disk_is_told_as_by_the_local_engine(worker, task, piece, monkeypatch):
    def full(*given, workers):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(distributed, "score_pieces", full)
    (error,) = worker(task, None)(asked(piece))["error"]
    assert error.startswith(f"{task.out}: no space left on the disk; finished parts are kept, make room")


def test_a_worker_enters_the_drivers_folder_for_relative_inputs_alone(worker, task, piece, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert worker(task, None)(asked(piece))["error"] == [""]
    relative = replace(piece, index=1, path="x.npz")
    (error,) = worker(task, str(tmp_path / "nowhere"))(asked(relative))["error"]
    assert error.startswith(
        f"{tmp_path}/nowhere: expected on every node, since inputs are relative to it, received"
    )
    os.chdir("/")
    assert worker(task, str(tmp_path))(asked(relative))["error"] == [""]


def test_a_workers_paths_hold_anywhere_and_links_stay(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    task = _absolute(Task(Path("link/model"), "digest", Path("link/out"), OPTIONS))
    assert (task.model, task.out) == (tmp_path / "link/model", tmp_path / "link/out")


@pytest.fixture(scope="module")
def cluster():
    """A cluster on this machine with three CPUs: two for workers, one for Ray itself."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    ray.init(num_cpus=WORKERS + 1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def images(rings, noise, encoded, write_parquet, tmp_path_factory):
    """A Parquet file of 240 images in 24 row groups."""
    path = tmp_path_factory.mktemp("in") / "x.parquet"
    return write_parquet(path, np.concatenate([rings(3, 230), noise(4, 10)]), range(240), group=10)


@pytest.fixture(scope="module")
def expected(images, folder, tmp_path_factory):
    """What the local engine writes, with batches as large as the workers'."""
    out = tmp_path_factory.mktemp("local") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semisynth.scoring.model.BATCH_SIZE", 500)
        patch.setattr(scorer, "load_detector", load_detector)
        job.run_job([images], folder, out, OPTIONS)
    return contents(out)


def contents(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def worker_processes():
    """The actors of this process's own cluster: Ray gives their processes the class's name."""
    running = psutil.Process().children(recursive=True)
    return [one for one in running if one.is_running() and "_PieceScorer" in " ".join(one.cmdline())]


@pytest.mark.filterwarnings("ignore")
def test_both_engines_write_the_same(cluster, images, expected, folder, tmp_path):
    seen = []
    engine = RayEngine(workers=WORKERS)

    def watched(*arguments):
        seen.append(len(worker_processes()))
        return engine(*arguments[:3], lambda count: seen.append(len(worker_processes())))

    job.run_job([images], folder, tmp_path / "out", OPTIONS, watched)
    assert contents(tmp_path / "out") == expected
    assert max(seen) == WORKERS


@pytest.mark.filterwarnings("ignore")
def test_a_job_joins_a_cluster_by_its_address_and_leaves_it_running(cluster, images, folder, tmp_path):
    address = cluster.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "semisynth.cli", "score", images, "--model", str(folder), "--alpha", "0.02"]
    command += ["--out", str(tmp_path / "out"), "--engine", "ray", "--ray-address", address, "--workers", "1"]
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(done.stdout)["rows"] == 240
    assert cluster.is_initialized()
    assert cluster.cluster_resources()["CPU"] == WORKERS + 1


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_loses_nothing_and_doubles_nothing(cluster, images, expected, folder, tmp_path):
    killed = []

    def engine(model, task, pieces, on_rows):
        def kill_one(count):
            on_rows(count)
            if not killed:
                victim = worker_processes()[0]
                os.kill(victim.pid, signal.SIGKILL)
                killed.append(victim.pid)
                assert len(contents(tmp_path / "out")) < len(expected)

        RayEngine(workers=WORKERS)(model, task, pieces, kill_one)

    summary = job.run_job([images], folder, tmp_path / "out", OPTIONS, engine)
    assert killed
    assert not psutil.pid_exists(killed[0])
    assert summary["rows"] == 240
    assert contents(tmp_path / "out") == expected


@pytest.mark.filterwarnings("ignore")
def test_what_a_worker_refuses_comes_back_as_an_error(cluster, folder, noise, tmp_path):
    np.savez(tmp_path / "x.npz", images=noise(0, 30).astype(np.float32))
    with pytest.raises(SemisynthError, match=r"x\.npz: row \d+: wrong dtype"):
        job.run_job(
            [str(tmp_path / "x.npz")],
            folder,
            tmp_path / "out",
            replace(OPTIONS, strict=True),
            RayEngine(workers=1),
        )


@pytest.mark.filterwarnings("ignore")
def test_relative_names_stand_in_the_output_as_they_were_given(cluster, folder, noise, tmp_path, monkeypatch):
    images = noise(0, 30).astype(np.float32)
    np.savez(tmp_path / "bad.npz", images=images)
    np.savez(tmp_path / "x.npz", images=noise(0, 30))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("semisynth.scoring.model.BATCH_SIZE", 500)
    monkeypatch.setattr(scorer, "load_detector", load_detector)
    for out, engine in (("local", scorer.score_pieces), ("ray", RayEngine(workers=1))):
        job.run_job(["x.npz", "bad.npz"], folder, Path(out), replace(OPTIONS, rows_per_part=30), engine)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
