"""The Ray engine on a real cluster on this machine: two workers, in processes of their own."""

import builtins
import os
import signal
from dataclasses import replace

import numpy as np
import psutil
import pytest

from semisynth.errors import SemisynthError
from semisynth.scoring import job, scorer
from semisynth.scoring.distributed import RayEngine
from semisynth.scoring.model import load_detector
from semisynth.scoring.options import JobOptions

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
