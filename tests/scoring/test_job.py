import errno
import functools
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.stats import kstest
from typer.testing import CliRunner

from semisynth.cli import app
from semisynth.errors import SemisynthError, UsageError
from semisynth.scoring import scorer
from semisynth.scoring.folder import locked
from semisynth.scoring.job import run_job
from semisynth.scoring.model import digest_of, load_detector
from semisynth.scoring.options import JobOptions, Task
from semisynth.scoring.parts import TableWriter
from semisynth.scoring.pieces import Columns
from semisynth.scoring.scorer import score_pieces

COLUMNS = ["id", "score", "p_value", "is_anomaly", "predicted_label", "confidence"]
OPTIONS = JobOptions(alpha=0.02, rows_per_part=100)


@pytest.fixture
def planted(tmp_path, rings, noise, write_parquet):
    """A Parquet file of 300 rings and 20 images of noise after them, in row groups of 80."""
    images = np.concatenate([rings(3, 300), noise(4, 20)])
    return write_parquet(tmp_path / "in" / "x.parquet", images, [f"i{row:03d}" for row in range(320)], group=80)


@pytest.fixture
def run(folder, tmp_path):
    """Runs a job on the session's detector; returns its summary."""

    def start(*named, out="out", options=OPTIONS, **more):
        return run_job([str(name) for name in named], folder, tmp_path / out, options, **more)

    return start


def table(out, format="parquet"):
    read = pd.read_parquet if format == "parquet" else pd.read_csv
    return pd.concat([read(path) for path in sorted((out / "parts").iterdir())], ignore_index=True)


def part_names(out):
    return sorted(path.name for path in (out / "parts").iterdir())


def contents(out):
    """Every file of the output, by name."""
    paths = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def test_a_row_per_image_in_parts(run, planted, tmp_path):
    summary = run(planted)
    rows = table(tmp_path / "out")
    assert list(rows.columns) == COLUMNS
    assert rows["id"].tolist() == [f"i{row:03d}" for row in range(320)]
    assert (summary["rows"], summary["parts"], summary["quarantined"]) == (320, 4, {})
    assert part_names(tmp_path / "out") == [f"part-{index:06d}.parquet" for index in range(4)]
    assert set(rows["predicted_label"]) <= {"ring", "disc"}
    assert rows["confidence"].between(0.5, 1).all()
    assert not (tmp_path / "out" / "quarantine.parquet").exists()


def test_noise_is_found_and_normal_images_are_not(run, planted, tmp_path):
    summary = run(planted)
    rows = table(tmp_path / "out")
    assert rows["is_anomaly"][300:].all()
    assert rows["is_anomaly"][:300].mean() < 0.06
    assert rows["is_anomaly"].sum() == summary["anomalies"]
    assert rows["score"][300:].min() > rows["score"][:300].median()
    assert (rows["is_anomaly"] == (rows["p_value"] <= 0.02)).all()
    assert len(np.unique(rows["score"])) > 310


def test_p_values_of_normal_images_are_uniform(run, rings, tmp_path):
    np.savez(tmp_path / "x.npz", images=rings(11, 500))
    run(tmp_path / "x.npz")
    assert kstest(table(tmp_path / "out")["p_value"], "uniform").pvalue > 0.001


def test_scores_are_those_of_the_model_whatever_the_parts(run, model, planted, tmp_path, rings, noise):
    images = np.concatenate([rings(3, 300), noise(4, 20)])
    expected = model.suite.scores(model.judge(images), ["ensemble"])["ensemble"]
    run(planted)
    run(planted, out="one", options=replace(OPTIONS, rows_per_part=10_000))
    for out in ("out", "one"):
        np.testing.assert_allclose(table(tmp_path / out)["score"], expected, rtol=1e-4)


def test_csv_holds_the_same_rows(run, planted, tmp_path):
    run(planted)
    run(planted, out="csv", options=replace(OPTIONS, format="csv"))
    expected = table(tmp_path / "out")
    pd.testing.assert_frame_equal(table(tmp_path / "csv", "csv"), expected, check_dtype=False, rtol=1e-6)


def test_another_detector_and_every_detectors_column(run, planted, model, tmp_path):
    run(planted, options=replace(OPTIONS, every_detector=True))
    rows = table(tmp_path / "out")
    assert list(rows.columns) == [*COLUMNS, *(f"score_{name}" for name in model.suite.names)]
    run(planted, out="pca", options=replace(OPTIONS, detector="pca"))
    np.testing.assert_allclose(table(tmp_path / "pca")["score"], rows["score_pca"], rtol=1e-6)
    assert not np.allclose(rows["score_pca"], rows["score"])


def test_alpha_is_chosen_when_scoring(run, planted, tmp_path):
    run(planted, options=replace(OPTIONS, alpha=0.5))
    assert table(tmp_path / "out")["is_anomaly"][:300].mean() == pytest.approx(0.5, abs=0.15)
    with pytest.raises(UsageError, match=r"alpha 0.001 is too small for 300 calibration images, expected 0.00"):
        run(planted, out="small", options=replace(OPTIONS, alpha=0.001))


def test_a_finished_job_is_not_done_again(run, planted, tmp_path):
    first = run(planted)
    before = contents(tmp_path / "out")
    again = run(planted, engine=lambda *arguments: pytest.fail("scored again"))
    assert contents(tmp_path / "out") == before
    assert (again["resumed"], again["rows"]) == (320, first["rows"])


def test_missing_parts_alone_are_made_again(run, planted, tmp_path):
    run(planted)
    before = contents(tmp_path / "out")
    kept = tmp_path / "out" / "parts" / "part-000001.parquet"
    touched = kept.stat().st_mtime_ns
    (tmp_path / "out" / "parts" / "part-000002.parquet").unlink()
    (tmp_path / "out" / "parts" / ".part-000002.parquet.abcdefgh.part").write_bytes(b"half")
    assert run(planted)["resumed"] == 240
    assert contents(tmp_path / "out") == before
    assert kept.stat().st_mtime_ns == touched


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.5}, r"`options\.alpha` is 0\.02 there, 0\.5 here"),
        ({"detector": "pca"}, r'`options\.detector` is "ensemble" there, "pca" here'),
        ({"format": "csv"}, r"`options\.format`"),
        ({"explain": 101}, r"`options\.explain_up_to` is 100 there, 101 here"),
    ],
)
def test_other_options_are_refused_not_mixed(run, planted, tmp_path, change, message):
    run(planted)
    before = contents(tmp_path / "out")
    with pytest.raises(SemisynthError, match=message):
        run(planted, options=replace(OPTIONS, **change))
    assert contents(tmp_path / "out") == before


def test_another_model_or_input_is_refused(run, planted, model, tmp_path, rings):
    run(planted)
    other = replace(model, class_names=("one", "two"))
    other.save(tmp_path / "other")
    with pytest.raises(SemisynthError, match="`model_sha256`"):
        run_job([planted], tmp_path / "other", tmp_path / "out", OPTIONS)
    pq.write_table(pq.read_table(planted).slice(1), planted)
    with pytest.raises(SemisynthError, match=r"`inputs\[0\].rows` is 320 there, 319 here"):
        run(planted)


def test_a_folder_of_other_files_is_refused(run, planted, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(SemisynthError, match=r"expected a new folder or one of an earlier job, found thesis\.tex"):
        run(planted)


def test_an_output_folder_inside_the_inputs_is_refused(run, tmp_path, rings, encoded):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.png").write_bytes(encoded(rings(0, 1)[0]))
    with pytest.raises(SemisynthError, match="expected an output folder outside of the input folder"):
        run(tmp_path / "f", out="f/out")


def test_a_second_job_on_the_folder_is_refused(run, planted, tmp_path):
    with locked(tmp_path / "out"), pytest.raises(SemisynthError, match="another job is writing here"):
        run(planted)
    run(planted)


def test_bad_rows_are_quarantined_and_the_rest_is_scored(run, rings, encoded, tmp_path):
    images = [encoded(image) for image in rings(5, 250)]
    images[7], images[120], images[121] = None, b"junk", encoded(np.zeros((9, 9), np.uint8))
    names = [f"i{row}" for row in range(250)]
    pq.write_table(pa.table({"image": images, "id": names}), tmp_path / "x.parquet", row_group_size=100)
    floats = np.zeros((2, 20, 20), np.float32)
    floats[1, 0, 0] = np.nan
    np.savez(tmp_path / "y.npz", images=floats)
    summary = run(tmp_path / "x.parquet", tmp_path / "y.npz")
    assert summary["quarantined"] == {"NaN": 1, "null": 1, "undecodable": 1, "wrong dtype": 1, "wrong size": 1}
    assert summary["rows"] == 247
    bad = pd.read_parquet(tmp_path / "out" / "quarantine.parquet")
    one, two = str(tmp_path / "x.parquet"), str(tmp_path / "y.npz")
    assert list(zip(bad["file"], bad["row"], bad["reason"], strict=True)) == [
        (one, 7, "null"),
        (one, 120, "undecodable: expected PNG or JPEG"),
        (one, 121, "wrong size: 9x9, expected 20x20"),
        (two, 0, "wrong dtype: float32, expected uint8"),
        (two, 1, "NaN"),
    ]
    rest = [name for row, name in enumerate(names) if row not in (7, 120, 121)]
    assert table(tmp_path / "out")["id"].tolist() == rest
    before = contents(tmp_path / "out")
    assert run(tmp_path / "x.parquet", tmp_path / "y.npz")["quarantined"] == summary["quarantined"]
    assert contents(tmp_path / "out") == before


def test_strict_ends_at_the_first_bad_row(run, rings, encoded, tmp_path):
    images = [encoded(image) for image in rings(5, 250)]
    images[130] = b"junk"
    pq.write_table(pa.table({"image": images}), tmp_path / "x.parquet", row_group_size=100)
    with pytest.raises(SemisynthError, match=r"x\.parquet: row 130: undecodable"):
        run(tmp_path / "x.parquet", options=replace(OPTIONS, strict=True))
    assert part_names(tmp_path / "out") == ["part-000000.parquet"]
    assert run(tmp_path / "x.parquet")["quarantined"] == {"undecodable": 1}  # without it, the job goes on
    with pytest.raises(SemisynthError, match=r"rows that can't be scored: .*undecodable"):  # in finished parts
        run(tmp_path / "x.parquet", options=replace(OPTIONS, strict=True))


def test_an_error_leaves_no_thread_behind(run, encoded, tmp_path):
    pq.write_table(pa.table({"image": [b"junk"] * 3000}), tmp_path / "x.parquet", row_group_size=100)
    before = threading.active_count()
    gc.disable()  # it would end them some day
    try:
        with pytest.raises(SemisynthError, match=r"row 0: undecodable"):
            run(tmp_path / "x.parquet", options=replace(OPTIONS, strict=True))
        assert threading.active_count() == before
    finally:
        gc.enable()


def test_a_colon_in_a_relative_path_is_no_scheme(folder, rings, encoded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = [encoded(image) for image in rings(5, 20)] + [b"junk"]
    pq.write_table(pa.table({"image": images}), tmp_path / "run:1.parquet")
    summary = run_job(["run:1.parquet"], folder, Path("scores-2026-06-01T10:30"), replace(OPTIONS, explain=1))
    assert summary["quarantined"] == {"undecodable": 1}
    assert pd.read_parquet(tmp_path / "scores-2026-06-01T10:30" / "quarantine.parquet")["row"].tolist() == [20]


def test_an_image_that_cannot_be_read_for_a_while_is_not_called_bad(run, rings, encoded, tmp_path, monkeypatch):
    (tmp_path / "f").mkdir()
    for row, image in enumerate(rings(5, 5)):
        (tmp_path / "f" / f"{row}.png").write_bytes(encoded(image))
    whole = Path.open

    def failing(self, *arguments, **more):
        if self.name == "3.png":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return whole(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", failing)
    with pytest.raises(OSError, match=r"Input/output error: .*3\.png"):
        run(tmp_path / "f")
    monkeypatch.setattr(Path, "open", whole)
    summary = run(tmp_path / "f")
    assert (summary["rows"], summary["quarantined"]) == (5, {})


def test_explanations_are_made_anew_where_a_part_is(run, rings, encoded, tmp_path):
    (tmp_path / "f").mkdir()
    for row, image in enumerate(rings(5, 4)):
        (tmp_path / "f" / f"{row}.png").write_bytes(encoded(image))
    options = replace(OPTIONS, explain=4)
    run(tmp_path / "f", options=options)
    table = tmp_path / "out" / "explain" / "explain.csv"
    before = table.read_text(encoding="utf-8")
    table.write_text("of earlier rows", encoding="utf-8")
    (tmp_path / "out" / "parts" / "part-000000.parquet").unlink()
    run(tmp_path / "f", options=options)
    assert table.read_text(encoding="utf-8") == before


def test_a_finished_job_can_be_explained_later(run, planted, tmp_path):
    run(planted)
    table = tmp_path / "out" / "explain" / "explain.csv"
    seen = {}
    for count in (3, 100, 3):
        assert run(planted, options=replace(OPTIONS, explain=count))["resumed"] == 320
        seen[count] = table.read_text(encoding="utf-8").splitlines()
        assert len(seen[count]) == count + 1
        with Image.open(table.parent / "worst.png"):
            pass
    assert seen[100][:4] == seen[3]
    shutil.rmtree(tmp_path / "out")
    run(planted, options=replace(OPTIONS, explain=100))
    assert table.read_text(encoding="utf-8").splitlines() == seen[100]
    run(planted)
    assert table.exists()  # not asked for is not to be deleted


def test_what_an_earlier_run_quarantined_does_not_stay(run, planted, tmp_path):
    run(planted)
    (tmp_path / "out" / "parts" / "part-000001.parquet").unlink()
    stale = pa.table({"file": ["x"], "row": [1], "reason": ["unreadable"]})
    pq.write_table(stale, tmp_path / "out" / ".state" / "quarantine-000001.parquet")
    run(planted)
    assert not (tmp_path / "out" / "quarantine.parquet").exists()


@pytest.mark.parametrize("ids", [["a"] * 40, None])
def test_duplicate_ids_and_a_missing_column_fail_before_anything_is_written(
    run, rings, write_parquet, tmp_path, ids
):
    path = write_parquet(tmp_path / "x.parquet", rings(0, 40), ids)
    options = OPTIONS if ids else replace(OPTIONS, columns=Columns(image="picture"))
    with pytest.raises(SemisynthError, match="several rows: a" if ids else "column `picture` is missing"):
        run(path, options=options)
    assert not (tmp_path / "out" / "parts").exists()
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_full_disk_is_named_and_finished_parts_stay(run, planted, tmp_path, monkeypatch):
    whole, calls = TableWriter.close, []

    def full(self):
        calls.append(self)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(self)

    monkeypatch.setattr(TableWriter, "close", full)
    with pytest.raises(SemisynthError, match="out: no space left on the disk; finished parts are kept"):
        run(planted)
    assert part_names(tmp_path / "out") == ["part-000000.parquet", "part-000001.parquet"]
    monkeypatch.setattr(TableWriter, "close", whole)
    assert run(planted)["rows"] == 320


def test_the_manifest_says_what_was_run(run, planted, folder, tmp_path):
    run(planted)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["options"]["alpha"] == 0.02
    assert "strict" not in manifest["options"]
    assert manifest["inputs"][0]["rows"] == 320
    assert len(manifest["inputs"][0]["sha256"]) == len(manifest["model_sha256"]) == 64


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_cut_off_between_two_renames_the_job_goes_on_with_the_same_output(
    run, rings, tmp_path, monkeypatch, renames
):
    np.savez(tmp_path / "x.npz", images=rings(5, 100))
    np.savez(tmp_path / "bad.npz", images=np.full((100, 20, 20), np.nan, np.float32))
    named = tmp_path / "x.npz", tmp_path / "bad.npz"
    run(*named, out="whole")
    rename, seen = Path.replace, []

    def cut(path, target):
        if "000001" in target.name:  # the second piece: its quarantine, its counts, its part
            seen.append(target)
            if len(seen) > renames:
                raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        run(*named)
    monkeypatch.setattr(Path, "replace", rename)
    assert part_names(tmp_path / "out") == ["part-000000.parquet"]
    assert run(*named)["quarantined"] == {"NaN": 100}
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_input_that_changes_during_the_job_ends_it(run, planted, tmp_path):
    def engine(scorer, task, pieces, on_rows):
        score_pieces(scorer, task, pieces[:1])
        os.utime(planted, ns=(0, 0))
        score_pieces(scorer, task, pieces[1:])

    with pytest.raises(SemisynthError, match=r"x\.parquet: changed during the job: .*:0$"):
        run(planted, engine=engine)
    assert part_names(tmp_path / "out") == ["part-000000.parquet"]


def test_a_model_that_is_exchanged_while_it_is_loaded_is_refused(model, folder, tmp_path, monkeypatch):
    model.save(tmp_path / "model")

    def exchanged(path):
        replace(model, class_names=("one", "two")).save(path)
        return load_detector(path)

    monkeypatch.setattr(scorer, "load_detector", exchanged)
    task = Task(tmp_path / "model", digest_of(tmp_path / "model"), tmp_path / "out", OPTIONS)
    with pytest.raises(SemisynthError, match=rf"model {task.digest} expected, received"):
        scorer.load_scorer(task)


SLOW = """
import sys, time
from pathlib import Path
from semisynth.scoring import job, model, parts
from semisynth.scoring.options import JobOptions

model.BATCH_SIZE = 100
write = parts.TableWriter.add
parts.TableWriter.add = lambda self, table: (time.sleep(0.15), write(self, table))[1]
job.run_job([sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3]), JobOptions(alpha=0.02, rows_per_part=10))
"""


def test_a_killed_job_goes_on_and_ends_with_the_same_output(run, rings, noise, write_parquet, folder, tmp_path):
    images = np.concatenate([rings(3, 115), noise(4, 5)])
    path = write_parquet(tmp_path / "x.parquet", images, range(120), group=10)
    options = replace(OPTIONS, rows_per_part=10)
    run(path, out="whole", options=options)
    out = tmp_path / "killed"
    command = [sys.executable, "-c", SLOW, path, str(folder), str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((out / "parts").glob("part-*"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 4 <= len(list((out / "parts").glob("part-*"))) < 12
    assert run(path, out="killed", options=options)["resumed"] >= 40
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("bad", "more", "status", "said"),
    [
        (0, [], 0, "5 images scored"),
        (1, [], 3, "quarantine.parquet: 1 wrong size"),
        (1, ["--strict"], 1, "wrong size"),
        (0, ["--alpha", "0.0001"], 2, "alpha"),
    ],
)
def test_the_command_ends_with_the_status_of_the_job(bad, more, status, said, folder, tmp_path, noise, encoded):
    images = [*noise(0, 5), *np.zeros((bad, 16, 16), np.uint8)]
    pq.write_table(pa.table({"image": [encoded(image) for image in images]}), tmp_path / "x.parquet")
    command = ["score", str(tmp_path / "x.parquet"), "--model", str(folder), "--out", str(tmp_path / "out"), *more]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == status
    assert said in done.output
    assert (tmp_path / "out" / "manifest.json").exists() == (status != 2)


def test_the_output_is_the_same_whichever_thread_judges(run, rings, noise, tmp_path):
    np.savez(tmp_path / "x.npz", images=np.concatenate([rings(3, 2600), noise(4, 30)]))
    np.savez(tmp_path / "y.npz", images=rings(5, 700))
    options = replace(OPTIONS, rows_per_part=5000, explain=5)
    for workers in (1, 3):
        engine = functools.partial(score_pieces, workers=workers)
        run(tmp_path / "x.npz", tmp_path / "y.npz", out=f"by_{workers}", options=options, engine=engine)
    assert contents(tmp_path / "by_1") == contents(tmp_path / "by_3")
    assert table(tmp_path / "by_3")["id"].tolist() == [
        f"{tmp_path}/{name}.npz#{row}" for name, rows in (("x", 2630), ("y", 700)) for row in range(rows)
    ]


def test_with_strict_a_piece_before_the_bad_one_is_finished_by_several_threads(run, rings, tmp_path):
    np.savez(tmp_path / "x.npz", images=rings(5, 1600))
    np.savez(tmp_path / "y.npz", images=np.full((3, 20, 20), np.nan, np.float32))
    options = replace(OPTIONS, rows_per_part=5000, strict=True)
    with pytest.raises(SemisynthError, match=r"y\.npz: row 0: NaN"):
        run(
            tmp_path / "x.npz",
            tmp_path / "y.npz",
            options=options,
            engine=functools.partial(score_pieces, workers=3),
        )
    assert part_names(tmp_path / "out") == ["part-000000.parquet"]
