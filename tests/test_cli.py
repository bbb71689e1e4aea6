import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from semisynth.cli import app
from semisynth.sampling.picture_job import PictureOptions
from semisynth.sampling.samples import SampleOptions
from semisynth.scoring.options import JobOptions
from semisynth.scoring.pieces import Columns


def test_doctor_ends_with_status_1_where_something_is_missing(tmp_path):
    done = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path)])
    assert done.exit_code == 1
    assert "MEND  dvc.yaml is missing" in done.output
    assert "checks need mending" in done.output


@pytest.mark.parametrize("arguments", [["docter"], ["doctor", "--fodler", "."]])
def test_wrong_usage_ends_with_status_2(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["score"],
        ["score", "x.npz", "--out", "o"],
        ["score", "x.npz", "--model", "m", "--out", "o", "--alpha", "2"],
        ["score", "x.npz", "--model", "m", "--out", "o", "--format", "xml"],
        ["score", "x.npz", "--model", "m", "--out", "o", "--engine", "spark"],
        ["score", "x.npz", "--model", "m", "--out", "o", "--alpha", "nan"],
        ["score", "x.npz", "--model", "m", "--out", "o", "--workers", "2"],
        ["score", "x.npz", "--model", "m", "--out", "o", "--ray-address", "auto"],
    ],
)
def test_wrong_usage_of_score_ends_with_status_2(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_score_without_a_model_fails_with_one_line(tmp_path):
    done = CliRunner().invoke(app, ["score", "x.npz", "--model", str(tmp_path), "--out", str(tmp_path / "o")])
    assert done.exit_code == 1
    assert (
        done.stderr
        == f"error: {tmp_path}/bundle.json: no such file; expected a detector (`dvc repro fit_detector`)\n"
    )


@pytest.fixture
def summary(monkeypatch):
    """What a job returns that is not run; and what it was asked for."""
    asked = []
    result = {"rows": 7, "anomalies": 2, "quarantined": {}, "parts": 1, "images_per_second": 5.0, "out": "o"}
    monkeypatch.setattr("semisynth.scoring.job.run_job", lambda *arguments: asked.append(arguments) or result)
    return asked, result


COMMAND = ["score", "a.npz", "b/*.png", "--model", "m", "--out", "o"]


def test_options_reach_the_job(summary):
    more = "--detector pca --alpha 0.2 --format csv --image-column i --id-column k --rows-per-part 9 --explain 3"
    done = CliRunner().invoke(app, [*COMMAND, *more.split(), "--every-detector", "--strict"])
    assert done.exit_code == 0
    ((named, model, out, options),) = summary[0]
    assert (named, str(model), str(out)) == (["a.npz", "b/*.png"], "m", "o")
    assert options == JobOptions("pca", 0.2, "csv", Columns("i", "k"), 9, True, 3, True)


def test_the_summary_is_text_or_json(summary):
    told = CliRunner().invoke(app, COMMAND).stdout
    assert "7 images scored, 2 anomalies at a false-alarm rate of 0.01" in told
    assert json.loads(CliRunner().invoke(app, [*COMMAND, "--json"]).stdout) == summary[1]


def test_quarantined_rows_end_with_status_3(summary):
    summary[1]["quarantined"] = {"null": 4, "NaN": 1}
    done = CliRunner().invoke(app, COMMAND)
    assert done.exit_code == 3
    assert "quarantine.parquet: 4 null, 1 NaN" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--out", "o.npz"],
        ["--model", "m", "--out", "o.npz", "--count", "0"],
        ["--model", "m", "--out", "o.npz", "--seed", "-1"],
        ["--model", "m", "--out", "o.npz", "--truncation", "0"],
        ["--model", "m", "--out", "o.npz", "--truncation", "nan"],
        ["--model", "m", "--out", "o.npz", "--temperature", "-0.1"],
        ["--model", "m", "--out", "o.npz", "--format", "jpg"],
    ],
)
def test_wrong_usage_of_sample_ends_with_status_2(arguments):
    assert CliRunner().invoke(app, ["sample", *arguments]).exit_code == 2


def test_sample_without_a_model_fails_with_one_line(tmp_path):
    done = CliRunner().invoke(app, ["sample", "--model", str(tmp_path), "--out", str(tmp_path / "o.npz")])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {tmp_path}/bundle.json: no such file")
    assert len(done.stderr.splitlines()) == 1


def test_options_reach_the_samples(monkeypatch):
    asked = []
    monkeypatch.setattr("semisynth.sampling.job.write_samples", lambda *arguments: asked.append(arguments) or 12)
    more = "--class b --class a --count 6 --seed 3 --truncation 0.5 --temperature 2 --format folder --force"
    done = CliRunner().invoke(app, ["sample", "--model", "m", "--out", "o", *more.split()])
    assert (done.exit_code, done.stdout) == (0, "o: 12 images\n")
    ((model, out, options),) = asked
    assert (str(model), str(out)) == ("m", "o")
    assert options == SampleOptions(("b", "a"), 6, 3, 0.5, 2.0, "folder", True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--picture", "clases"],
        ["--picture", "classes", "--columns", "1"],
        ["--picture", "classes", "--images", "i.npz"],
        ["--picture", "classes", "--row", "1"],
        ["--picture", "classes", "--to-seed", "1"],
        ["--picture", "manifold", "--truncation", "1"],
        ["--picture", "style"],
        ["--picture", "style", "--images", "i.npz", "--row", "-1"],
    ],
)
def test_wrong_usage_of_latent_ends_with_status_2(arguments):
    assert CliRunner().invoke(app, ["latent", "--model", "m", "--out", "o.png", *arguments]).exit_code == 2


def test_options_reach_the_picture(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "semisynth.sampling.picture_job.write_picture", lambda *arguments: asked.append(arguments) or "told"
    )
    more = "--picture style --class b --columns 5 --seed 3 --truncation 2 --images i --row 6 --force"
    done = CliRunner().invoke(app, ["latent", "--model", "m", "--out", "o.png", *more.split()])
    assert (done.exit_code, done.stdout) == (0, "told\n")
    ((model, out, options),) = asked
    assert (str(model), str(out)) == ("m", "o.png")
    assert options == PictureOptions("style", ("b",), 5, 3, 4, 2.0, Path("i"), (6,), True)
