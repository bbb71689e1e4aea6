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


def test_missing_files_wrong_parameters_and_mirrors_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISYNTH_MIRROR", str(tmp_path / "none"))
    (tmp_path / ".git").mkdir()
    (tmp_path / "params.yaml").write_text("split: {}\n")
    lines = "\n".join(complaints(tmp_path))
    for part in ("dvc.yaml is missing", "`download` is missing", "SEMISYNTH_MIRROR names no folder"):
        assert part in lines
