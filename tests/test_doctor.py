import shutil
from pathlib import Path

import pytest

from semisynth.doctor import examine

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    return tmp_path


def complaints(folder):
    return [finding.line for finding in examine(folder) if not finding.fine and "PATH" not in finding.line]


def test_a_checkout_is_fine(project):
    (project / ".git").mkdir()
    assert complaints(project) == []


def test_a_download_without_history_needs_no_scm(project):
    [line] = complaints(project)
    assert "dvc config core.no_scm true" in line
    with (project / ".dvc" / "config").open("a") as config:
        config.write("    no_scm = true\n")
    assert complaints(project) == []


def test_a_mirror_is_judged_as_the_download_judges_it(project, monkeypatch):
    (project / ".git").mkdir()
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("SEMISYNTH_MIRROR", "~")
    assert complaints(project) == []
    monkeypatch.setenv("SEMISYNTH_MIRROR", "s3://bucket/data")
    assert complaints(project) == [
        "SEMISYNTH_MIRROR: expected an http, https or file URL, or a folder, received a URL of scheme 's3'"
    ]
    monkeypatch.setenv("SEMISYNTH_MIRROR", "~nobody-of-this-name/data")
    assert "expected a mirror's URL or folder, received '~nobody-of-this-name/data'" in complaints(project)[0]


def test_parts_that_do_not_go_together_are_named(project):
    (project / ".git").mkdir()
    text = (project / "params.yaml").read_text(encoding="utf-8")
    assert "  recipe: semi_acgan " in text
    parts = "  recipe: {base: wgan_gp, clip: 0.01} "
    (project / "params.yaml").write_text(text.replace("  recipe: semi_acgan ", parts), encoding="utf-8")
    [line] = complaints(project)
    assert "clip" in line


def test_files_that_cannot_be_read_are_named(project):
    (project / "params.yaml").unlink()
    (project / "params.yaml").mkdir()
    (project / ".dvc" / "config").write_text("no section = here\n", encoding="utf-8")
    lines = complaints(project)
    assert len(lines) == 2
    assert "params.yaml" in lines[0]
    assert "DVC's configuration can't be read" in lines[1]


def test_missing_files_wrong_parameters_and_mirrors_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISYNTH_MIRROR", str(tmp_path / "none"))
    (tmp_path / ".git").mkdir()
    (tmp_path / "params.yaml").write_text("split: {}\n")
    lines = "\n".join(complaints(tmp_path))
    for part in ("dvc.yaml is missing", "`download` is missing", "SEMISYNTH_MIRROR names no folder"):
        assert part in lines
