"""The whole pipeline on the bundled digits, with tiny budgets, as a user runs it: run, interrupted, changed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
TINY = {
    "download": {"dataset": "digits"},
    "split": {"labelled": 50},
    "train_baseline": {
        "folds": 2,
        "cnn": {"max_steps": 20, "batch_size": 16},
        "lightgbm": {"num_iterations": 5},
    },
    "train_synthesizer": {"max_steps": 12, "epochs": 4, "batch_size": 8, "labelled_copies": 100},
    "synthesize": {"per_class": 12},
    "evaluate_synthetic": {"max_steps": 30, "batch_size": 32, "images": 100},
    "augment": {
        "arms": ["synthetic", "all"],
        "classical_images": 60,
        "pseudo_per_class": 5,
        "pseudo_confidence": 0.0,
    },
    "train_augmented": {"classifiers": ["cnn", "lightgbm", "svm", "logistic"]},
    "score_anomalies": {"per_kind": 10, "normal": 60},
    "compare": {"resamples": 200},
}
# What is read besides the section of the stage's own name.
READERS = {"train_baseline": {"train_baseline", "train_augmented"}}
CHANGES = {
    "download": ("test_fraction", 0.3),
    "split": ("seed", 1),
    "train_baseline": ("seed", 1),
    "train_synthesizer": ("seed", 1),
    "synthesize": ("seed", 1),
    "evaluate_synthetic": ("seed", 1),
    "augment": ("seed", 1),
    "train_augmented": ("classifiers", ["svm"]),
    "score_anomalies": ("seed", 1),
    "compare": ("seed", 1),
}


def merged(base, changes):
    return {
        key: merged(value, changes[key]) if isinstance(value, dict) and key in changes else changes.get(key, value)
        for key, value in base.items()
    }


def write_params(folder, changes):
    yaml = YAML(typ="safe", pure=True)
    params = merged(yaml.load(ROOT / "params.yaml"), changes)
    with (folder / "params.yaml").open("w") as stream:
        yaml.dump(params, stream)


def environment():
    folder = str(Path(sys.executable).parent)
    return os.environ | {"PATH": os.pathsep.join([folder, os.environ["PATH"]]), "SEMISYNTH_MIRROR": ""}


def run(folder, *command, check=True):
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A download without git history, in which the whole pipeline has run."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc")
    run(folder, "dvc", "config", "core.no_scm", "true")
    write_params(folder, TINY)
    run(folder, "dvc", "repro")
    return folder


def test_every_stage_leaves_metrics_that_name_the_data_set(project):
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    for stage in stages:
        metrics = json.loads((project / "results" / stage / "metrics.json").read_text())
        assert metrics["dataset"] == "digits", stage


def test_the_table_has_every_arm_and_classifier(project):
    lines = (project / "results" / "compare" / "accuracy.csv").read_text().splitlines()
    assert lines[0] == "dataset,labelled,arm,classifier,accuracy,error,error_low,error_high"
    rows = [line.split(",") for line in lines[1:]]
    assert {(row[2], row[3]) for row in rows} == {
        (arm, classifier)
        for arm in ("labelled", "synthetic", "all")
        for classifier in ("cnn", "lightgbm", "svm", "logistic")
    }
    for row in rows:
        assert row[:2] == ["digits", "50"]
        assert float(row[4]) + float(row[5]) == pytest.approx(1)
        assert float(row[6]) <= float(row[5]) <= float(row[7])


def test_metrics_and_plots_show(project):
    assert "results/compare/metrics.json" in run(project, "dvc", "metrics", "show").stdout
    assert "index.html" in run(project, "dvc", "plots", "show").stdout


def test_a_second_run_does_nothing(project):
    assert "Data and pipelines are up to date" in run(project, "dvc", "repro").stdout


@pytest.mark.parametrize("section", CHANGES)
def test_a_changed_section_concerns_the_stages_that_read_it(project, section):
    key, value = CHANGES[section]
    write_params(project, TINY | {section: TINY[section] | {key: value}})
    changed = json.loads(run(project, "dvc", "status", "--json").stdout)
    write_params(project, TINY)
    concerned = {
        stage
        for stage, reasons in changed.items()
        if any(
            "changed deps" in reason and "params.yaml" in reason["changed deps"]
            for reason in reasons
            if isinstance(reason, dict)
        )
    }
    assert concerned == READERS.get(section, {section})


def command_of(project, stage):
    stages = YAML(typ="safe", pure=True).load(project / "dvc.yaml")["stages"]
    return [sys.executable, *stages[stage]["cmd"].split()[1:]]


@pytest.mark.parametrize(
    ("stage", "model", "sign"),
    [
        ("train_synthesizer", "models/synthesizer", "*/state.npz"),
        ("train_augmented", "models/augmented", "*/**/bundle.json"),
    ],
)
def test_a_killed_stage_goes_on_and_ends_bit_identical(project, stage, model, sign):
    expected = digests(project / model)
    shutil.rmtree(project / model)
    killed = subprocess.Popen(
        command_of(project, stage), cwd=project, env=environment(), stderr=subprocess.DEVNULL
    )
    waiting = project / ".semisynth" / "resume" / stage
    deadline = time.monotonic() + 120
    while not list(waiting.glob(sign)) and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (project / model).exists()
    assert list(waiting.glob(sign))
    run(project, *command_of(project, stage))
    assert digests(project / model) == expected
    assert not list(waiting.glob("*"))


def test_a_typing_error_in_the_parameters_stops_the_run(project):
    write_params(project, TINY)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("labelled: 50", "labeled: 50"))
    done = run(project, *command_of(project, "split"), check=False)
    write_params(project, TINY)
    assert done.returncode == 1
    assert "`split.labeled` is an unknown key, did you mean `labelled`?" in done.stderr
    assert (project / "data" / "split" / "labelled.npz").exists()


@pytest.mark.parametrize(
    ("stage", "path"), [("split", "data/raw/train.npz"), ("synthesize", "models/synthesizer/bundle.json")]
)
def test_a_stage_before_its_input_names_it(project, tmp_path, stage, path):
    shutil.copy(project / "params.yaml", tmp_path)
    if stage == "synthesize":
        (tmp_path / "data" / "split").mkdir(parents=True)
        shutil.copy(project / "data" / "split" / "labelled.npz", tmp_path / "data" / "split")
    done = run(tmp_path, *command_of(project, stage), check=False)
    assert done.returncode == 1
    assert f"error: {path}: no such file" in done.stderr
    assert "Traceback" not in done.stderr
