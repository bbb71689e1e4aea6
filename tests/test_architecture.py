"""The import rule, the dependencies of every stage, and where test images may go, read from the files."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "semisynth"
ROWS = [
    {"stages", "cli", "doctor"},
    {"synthesizers", "classifiers", "augmentation", "quality", "anomaly", "reporting", "params"},
    {"training"},
    {"data", "networks", "losses"},
    {"files"},
    {"errors"},
]
PIPELINE = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
STAGES = [
    "download",
    "split",
    "train_baseline",
    "train_synthesizer",
    "synthesize",
    "evaluate_synthetic",
    "augment",
    "train_augmented",
    "score_anomalies",
    "compare",
]


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; packages stand for their `__init__`."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imports_of(path: Path) -> set[str]:
    """The package's modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found & MODULES.keys()


def files_behind(module: str) -> set[str]:
    """All files that importing `module` runs, but for empty `__init__` files, relative to the project."""
    pending, seen = [module], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        parts = name.split(".")
        pending += [".".join(parts[:end]) for end in range(1, len(parts))]
        pending += imports_of(MODULES[name])
    return {MODULES[name].relative_to(ROOT).as_posix() for name in seen if MODULES[name].stat().st_size}


def row_of(module: str) -> int:
    part = module.split(".")[1]
    return next(number for number, row in enumerate(ROWS) if part in row)


def sources(stage: str) -> set[str]:
    return {path for path in PIPELINE[stage]["deps"] if path.startswith("src/")}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.count(".")))
def test_imports_point_downward(module):
    part = module.split(".")[1]
    for other in imports_of(MODULES[module]):
        if "." not in other or other.split(".")[1] == part:
            continue
        assert row_of(other) > row_of(module) or module == "semisynth.cli", f"{module} imports {other}"


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.split(".")[1:2] == ["networks"]))
def test_networks_and_losses_stay_away_from_files_and_the_clock(module):
    for path in (MODULES[module], MODULES["semisynth.losses"]):
        text = path.read_text(encoding="utf-8")
        for word in ("pathlib", "import time", "import os", "np.random.seed", "set_random_seed", "load_params"):
            assert word not in text, f"{path} uses {word}"


def test_stages_are_the_ten_of_the_design():
    assert list(PIPELINE) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_equal_the_real_imports(stage):
    assert sources(stage) == files_behind(f"semisynth.stages.{stage}")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_called_as_its_module(stage):
    assert PIPELINE[stage]["cmd"].split()[:3] == ["python", "-m", f"semisynth.stages.{stage}"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_sections_that_it_reads(stage):
    text = (PACKAGE / "stages" / f"{stage}.py").read_text(encoding="utf-8")
    read = set(re.findall(r"(?:load_params\(params\)|sections)\.(\w+)", text))
    listed = {key.split(".")[0] for key in PIPELINE[stage]["params"]}
    assert listed == read


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_the_command_is_a_dependency_or_an_output(stage):
    words = PIPELINE[stage]["cmd"].split()[3:]
    outputs = [next(iter(out)) if isinstance(out, dict) else out for out in PIPELINE[stage].get("outs", [])]
    given = {path for path in PIPELINE[stage]["deps"] if not path.startswith("src/")}
    for path in (word for word in words if "/" in word):
        known = [*given, *outputs]
        assert any(path == one or one.startswith(path + "/") or path.startswith(one + "/") for one in known), path


def test_test_images_reach_no_fitting_stage():
    readers = {
        stage
        for stage in STAGES
        if any(
            dep in ("data/split", "data/split/test.npz", "data/raw", "data/raw/test.npz")
            for dep in PIPELINE[stage]["deps"]
        )
    }
    assert readers == {"split", "evaluate_synthetic", "score_anomalies", "compare"}


def test_what_may_know_every_label_reaches_nothing_that_trains_or_selects():
    knowing = {stage for stage in STAGES if "data/raw/train.npz" in PIPELINE[stage]["deps"]}
    assert knowing == {"split", "evaluate_synthetic"}
    outputs = [out for stage in ("evaluate_synthetic",) for out in PIPELINE[stage]["outs"]]
    names = {next(iter(out)) if isinstance(out, dict) else out for out in outputs}
    for stage in STAGES:
        assert not names & set(PIPELINE[stage]["deps"])


def test_validation_labels_are_for_reports_alone():
    readers = {stage for stage in STAGES if "data/split/validation.npz" in PIPELINE[stage]["deps"]}
    assert readers == {"compare"}
