"""What the README says of the project, held against the project."""

import json
import re
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import get_args

from semisynth.params import RecipeName

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table_after(text, head):
    """The lines of the first table after the line that begins with `head`."""
    lines = iter(text.split(f"\n{head}", 1)[1].splitlines())
    return list(takewhile(lambda line: line.startswith("|"), dropwhile(lambda line: line[:1] != "|", lines)))


def test_the_tables_are_those_that_were_measured():
    budgets = (ROOT / "benchmarks" / "label_budget.md").read_text(encoding="utf-8")
    arms = table_after(README, "MNIST, 100 labelled images")
    assert len(arms) == 8
    assert arms == table_after(budgets, "## mnist, 100 labels")
    assert table_after(README, "By number of labels") == table_after(budgets, "## Classifier `cnn`")


def test_the_page_of_the_default_run_shows_its_results():
    measured = (ROOT / "results" / "compare" / "table.md").read_text(encoding="utf-8")
    report = (ROOT / "benchmarks" / "default_run.md").read_text(encoding="utf-8")
    assert table_after(measured, "") == table_after(report, "## mnist, 100 labels")


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
