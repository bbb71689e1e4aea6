"""What the README says of the project, held against the project."""

import json
import re
from pathlib import Path
from typing import get_args

from semisynth.params import RecipeName

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def first_table(text):
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| arm "))
    return [line for line in lines[start : start + 8] if line.startswith("|")]


def test_the_first_table_is_the_one_that_was_measured():
    measured = (ROOT / "results" / "compare" / "table.md").read_text(encoding="utf-8")
    report = (ROOT / "benchmarks" / "default_run.md").read_text(encoding="utf-8")
    assert first_table(README) == first_table(measured) == first_table(report)


def test_the_results_are_those_of_the_default_run():
    metrics = json.loads((ROOT / "results" / "compare" / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["dataset"], metrics["labelled"]) == ("mnist", 100)


def test_the_table_of_recipes_names_each():
    table = README.split("| recipe | what |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(get_args(RecipeName))


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) >= 3
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_tree_names_what_is_there():
    tree = README.split("src/semisynth/\n")[1].split("tests/  ")[0]
    names = [word for line in tree.splitlines() for word in line[:25].split()]
    package = ROOT / "src" / "semisynth"
    for name in names:
        assert (package / name).exists(), name
    there = {path.name for path in package.iterdir() if not path.name.startswith("__")}
    assert {name.rstrip("/") for name in names} == there
