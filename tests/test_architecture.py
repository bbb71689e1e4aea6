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
    {"scoring", "sampling"},
    {"synthesizers", "classifiers", "augmentation", "quality", "anomaly", "reporting", "params"},
    {"training"},
    {"data", "networks", "losses", "recipes"},
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
    "fit_detector",
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


def inputs(stage: str) -> set[str]:
    return set(PIPELINE[stage]["deps"]) - sources(stage)


def outputs(stage: str) -> set[str]:
    return {next(iter(out)) if isinstance(out, dict) else out for out in PIPELINE[stage]["outs"]}


def arguments(command: str) -> list[str]:
    """The values in `python -m module --name value --name value`: a stage's options are all paths."""
    words = command.split()[3:]
    assert all(re.fullmatch(r"--\w+", word) for word in words[::2]), command
    return words[1::2]


def is_in(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def overlap(path: str, other: str) -> bool:
    """Whether one of the two is the other, or lies inside it."""
    return is_in(path, other) or is_in(other, path)


def belongs_to(stage: str, path: str) -> bool:
    """Whether `path` is, or lies in, an input or output of the stage, or holds such and no other stage's."""
    own = inputs(stage) | outputs(stage)
    named = {one for other in STAGES for one in inputs(other) | outputs(other)}
    held = {one for one in named if is_in(one, path) and one != path}
    return any(is_in(path, one) for one in own) or (bool(held) and held <= own)


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


def test_stages_are_those_of_the_design():
    assert list(PIPELINE) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_equal_the_real_imports(stage):
    assert sources(stage) == files_behind(f"semisynth.stages.{stage}")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_called_as_its_module(stage):
    assert PIPELINE[stage]["cmd"].split()[:3] == ["python", "-m", f"semisynth.stages.{stage}"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_its_own_section_and_just_what_it_reads_of_others(stage):
    text = (PACKAGE / "stages" / f"{stage}.py").read_text(encoding="utf-8")
    read = re.findall(r"(?:load_params\(params\)|sections)\.(\w+(?:\.\w+)?)", text)
    needed = {stage if key.split(".")[0] == stage else key for key in read}
    assert set(PIPELINE[stage]["params"]) == needed


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_the_command_belongs_to_the_stage(stage):
    for path in arguments(PIPELINE[stage]["cmd"]):
        assert belongs_to(stage, path), path


@pytest.mark.parametrize(
    ("stage", "path", "allowed"),
    [
        ("train_baseline", "data/split/labelled.npz", True),
        ("train_baseline", "data/split", False),
        ("train_baseline", "data", False),
        ("train_baseline", "data/split/test.npz", False),
        ("score_anomalies", "data/split", False),
        ("augment", "data/synthetic/synthetic.npz", True),
        ("split", "data/split", True),
        ("split", "data/raw", True),
        ("split", "data", False),
    ],
)
def test_a_folder_with_files_of_other_stages_does_not_belong_to_a_stage(stage, path, allowed):
    assert belongs_to(stage, path) == allowed


def test_test_images_reach_no_fitting_stage():
    tests = ("data/split/test.npz", "data/raw/test.npz")
    users = {
        stage
        for stage in STAGES
        for path in [*PIPELINE[stage]["deps"], *arguments(PIPELINE[stage]["cmd"])]
        if any(is_in(test, path) for test in tests)
    }
    assert users == {"download", "split", "evaluate_synthetic", "score_anomalies", "compare"}


def test_what_may_know_every_label_reaches_nothing_that_trains_or_selects():
    knowing = {stage for stage in STAGES if any(is_in("data/raw/train.npz", dep) for dep in inputs(stage))}
    assert knowing == {"split", "evaluate_synthetic"}


@pytest.mark.parametrize("stage", ["evaluate_synthetic", "score_anomalies", "compare"])
def test_nothing_uses_what_was_measured_with_test_images(stage):
    for other in set(STAGES) - {stage}:
        for path in [*PIPELINE[other]["deps"], *arguments(PIPELINE[other]["cmd"])]:
            assert not any(overlap(path, out) for out in outputs(stage)), f"{other} uses {path}"


def test_validation_images_go_to_reports_and_to_the_calibration_of_p_values():
    """That no label of theirs does, tests/stages/test_fit_detector.py holds."""
    readers = {stage for stage in STAGES if any(is_in("data/split/validation.npz", dep) for dep in inputs(stage))}
    assert readers == {"fit_detector", "compare"}
