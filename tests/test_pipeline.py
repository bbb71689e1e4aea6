"""The whole pipeline on the bundled digits, with tiny budgets, as a user runs it: run, interrupted, changed."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
TINY = {
    "download": {"dataset": "digits"},
    "split": {"labelled": 50},
    "train_baseline": {
        "folds": 2,
        "cnn": {"max_steps": 20, "labelled_passes": 1.0, "batch_size": 16},
        "lightgbm": {"num_iterations": 5},
    },
    "train_synthesizer": {
        "max_steps": 12,
        "epochs": 4,
        "batch_size": 8,
        "labeller": {"max_steps": 24, "batch_size": 16, "confidence": 0.0},
    },
    "synthesize": {"per_class": 12},
    "evaluate_synthetic": {"max_steps": 30, "batch_size": 32, "images": 100},
    "augment": {
        "arms": ["synthetic", "all"],
        "classical_images": 60,
        "pseudo_per_class": 5,
        "pseudo_copies": 30,
        "pseudo_confidence": 0.0,
        "propagated_confidence": 0.0,
    },
    "train_augmented": {"classifiers": ["cnn", "lightgbm", "svm", "logistic"]},
    "fit_detector": {"images": 400, "references": 50, "generated": 20},
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
    "fit_detector": ("seed", 1),
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
    """This one, with the tools in front, no mirror, and no variable that names a repository or limits threads."""
    folder = str(Path(sys.executable).parent)
    own = {"PATH": os.pathsep.join([folder, os.environ["PATH"]]), "SEMISYNTH_MIRROR": ""}
    kept = {name: value for name, value in os.environ.items() if not re.match("GIT_|OMP_|TF_NUM_", name)}
    return kept | own


def run(folder, *command, check=True):
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def digests(*folders):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
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


def test_metrics_show(project):
    assert "results/compare/metrics.json" in run(project, "dvc", "metrics", "show").stdout


def test_every_plot_shows(project):
    shown = run(project, "dvc", "plots", "show")
    assert "failed to load" not in shown.stdout + shown.stderr
    page = (project / "dvc_plots" / "index.html").read_text()
    drawn = {
        name: json.loads(spec) for spec, name in re.findall(r"spec = (.*);\s+vegaEmbed\('#(\w+)', spec", page)
    }
    declared = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["plots"]
    assert set(drawn) == {re.sub(r"\W", "_", name) for plot in declared if isinstance(plot, dict) for name in plot}
    assert all(spec["data"]["values"] for spec in drawn.values())
    pictures = [f"train_synthesizer_samples_epoch_{number:02d}" for number in range(1, 5)]
    pictures += ["train_synthesizer_losses", "compare_accuracy", "compare_confusion", "synthesize_synthetic"]
    pictures += ["score_anomalies_auroc", "score_anomalies_worst"]
    assert set(re.findall(r'src="static/workspace_results_(\w+)\.png"', page)) == set(pictures)


def test_a_second_run_does_nothing(project):
    assert "Data and pipelines are up to date" in run(project, "dvc", "repro").stdout


@pytest.mark.parametrize("section", CHANGES)
def test_a_changed_section_concerns_the_stages_that_read_it(project, section, monkeypatch):
    key, value = CHANGES[section]
    write_params(project, TINY | {section: TINY[section] | {key: value}})
    monkeypatch.chdir(project)
    with Repo() as repo:
        changed = repo.status()
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


@pytest.fixture(scope="module")
def repository(project, tmp_path_factory):
    """The same project under git, all of it committed."""
    folder = tmp_path_factory.mktemp("repository") / "project"
    shutil.copytree(project, folder)
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, folder / name)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "A User")
    run(folder, "git", "config", "user.email", "user@localhost")
    run(folder, "dvc", "commit", "--force")  # as `dvc repro` under git, lists the outputs in .gitignore
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "First run")
    return folder


def stages_run(done):
    return re.findall(r"Running stage '(\w+)'", done.stdout)


def test_git_holds_no_data_and_no_models(repository):
    files = run(repository, "git", "ls-files").stdout.split()
    own = {".dvc", ".dvcignore", ".gitignore", "dvc.lock", "dvc.yaml", "params.yaml", "results", "src"}
    assert {path.split("/")[0] for path in files} == own | {"data", "models"}
    assert {Path(path).name for path in files if path.startswith(("data/", "models/"))} == {".gitignore"}


def test_an_experiment_runs_what_its_parameter_concerns_and_what_follows(repository):
    done = run(
        repository, "dvc", "exp", "run", "--name", "svm", "--set-param", "train_augmented.classifiers=[svm]"
    )
    assert stages_run(done) == ["train_augmented", "compare"]
    assert "svm" in run(repository, "dvc", "exp", "list", "--name-only").stdout.split()
    assert "results/compare/changes.csv" in run(repository, "git", "diff", "--name-only").stdout.split()
    assert "test.synthetic.cnn" in run(repository, "dvc", "metrics", "diff").stdout


def command_of(project, stage):
    stages = YAML(typ="safe", pure=True).load(project / "dvc.yaml")["stages"]
    return [sys.executable, *stages[stage]["cmd"].split()[1:]]


def stopped(folder, stage, sign, number):
    """Run the stage until a file `sign` is in its resume folder, then send signal `number`: status, errors."""
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # it would be ignored in a background job
    process = subprocess.Popen(
        command_of(folder, stage), cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, ours)
    waiting = folder / ".semisynth" / "resume" / stage
    deadline = time.monotonic() + 120
    while not list(waiting.glob(f"*/{sign}")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate()
    return process.returncode, errors


# What each stage trains step by step, by the budgets above: where it waits, title, epochs, steps of one.
TRAININGS = {
    "train_synthesizer": {"labeller": ("train labeller", 12, 2), "adversary": ("train semi_acgan", 4, 3)},
    "train_augmented": {"synthetic/cnn": ("CNN", 20, 1), "all/cnn": ("CNN", 20, 1)},
}


def steps_left(project, stage):
    """The trainings that a rerun has to finish, with the steps it has to make, by what waits for it."""
    (waiting,) = (project / ".semisynth" / "resume" / stage).iterdir()
    left = []
    for place, (title, epochs, steps) in TRAININGS[stage].items():
        done = 0
        for state in (waiting / place).rglob("state.npz"):
            with np.load(state) as arrays:
                done = len(json.loads(str(arrays["history"])))
        if done < epochs and not (waiting / place / "bundle").exists():
            left.append((title, (epochs - done) * steps))
    return left


def steps_made(errors):
    """The trainings that a run finished, with the steps it made, by its progress."""
    counts = re.findall(r"^(train labeller|train semi_acgan|CNN): (\d+)/(\d+)", errors, re.MULTILINE)
    return [(title, int(done)) for title, done, total in counts if done == total]


STATUS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}


def check_interrupted(errors):
    assert re.search("^interrupted; run it again", errors, re.MULTILINE)
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("stage", "model", "stops"),
    [
        (
            "train_synthesizer",
            "synthesizer",
            {"labeller/state.npz": signal.SIGINT, "adversary/state.npz": signal.SIGKILL},
        ),
        (
            "train_augmented",
            "augmented",
            {"*/cnn/state/state.npz": signal.SIGINT, "*/cnn/bundle/bundle.json": signal.SIGKILL},
        ),
    ],
)
def test_a_stopped_stage_does_what_is_left_and_ends_bit_identical(project, stage, model, stops):
    outputs = [project / "models" / model, project / "results" / stage]
    expected = digests(*outputs)
    for output in outputs:
        shutil.rmtree(output)
    left = [(title, epochs * steps) for title, epochs, steps in TRAININGS[stage].values()]
    for sign, number in stops.items():
        before = left
        status, errors = stopped(project, stage, sign, number)
        left = steps_left(project, stage)
        assert status == STATUS[number]
        assert not any(output.exists() for output in outputs)
        assert left != before
        ended, told = len(before) - len(left), len(steps_made(errors))
        assert told <= ended
        if stage == "train_synthesizer":  # networks side by side may be cut off between their state and their line
            assert told == ended
        if number == signal.SIGINT:
            check_interrupted(errors)
            assert not list((project / "models").rglob("*.part"))
            if stage == "train_synthesizer":  # of networks side by side, one may leave a part of its state
                assert not list((project / ".semisynth" / "resume" / stage).rglob("*.part"))
    done = run(project, *command_of(project, stage))
    assert sorted(steps_made(done.stderr)) == sorted(left)  # networks are trained side by side: either ends first
    assert digests(*outputs) == expected
    assert not list((project / ".semisynth" / "resume" / stage).iterdir())


def test_ctrl_c_among_networks_that_measure_changes_no_result(project, tmp_path):
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(project / name, tmp_path / name)
    for folder in ("data/raw", "data/split", "data/synthetic"):
        shutil.copytree(project / folder, tmp_path / folder)
    status, errors = stopped(tmp_path, "evaluate_synthetic", "instrument/state.npz", signal.SIGINT)
    assert status == STATUS[signal.SIGINT]
    check_interrupted(errors)
    assert list(tmp_path.rglob("state.npz"))
    assert not (tmp_path / "results").exists()
    run(tmp_path, *command_of(tmp_path, "evaluate_synthetic"))
    results = "results/evaluate_synthetic/metrics.json"
    assert (tmp_path / results).read_bytes() == (project / results).read_bytes()


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
