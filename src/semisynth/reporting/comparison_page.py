"""The comparison as a user reads it: a page of Markdown, and bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semisynth.reporting.comparison import BASELINE
from semisynth.reporting.figures import save_bars
from semisynth.reporting.tables import (
    markdown_table,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
)

SIGNIFICANT = 0.05  # p below which a change gets a mark
OVERVIEW_NOTE = f"""\
In brackets: the change against `{BASELINE}`, in percentage points. * marks a change with an exact p of McNemar's
test below {SIGNIFICANT}, each comparison by itself, not corrected for their number.
"""
DETAIL_COLUMNS = ("arm", "classifier", "accuracy", "interval", "change", "interval", "p")
DETAIL_NOTE = """\
Wilson's interval for the accuracy, a paired bootstrap's for the change, McNemar's exact p. They cover the choice
of test images alone: another draw of labelled images or another seed may move the numbers further. Where fewer
than some ten images changed between right and wrong, the bootstrap's interval is too narrow: go by p.
"""

Row = Mapping[str, Any]


def heading(dataset: str, labelled: int, images: int) -> str:
    """Say what was measured: `mnist, 100 labels: accuracy on 10,000 test images`."""
    return f"{dataset}, {labelled:,} labels: accuracy on {images:,} test images"


def comparison_page(title: str, accuracies: Sequence[Row], changes: Sequence[Row], *, level: float) -> str:
    """Lay out rows of `accuracy_rows` and `change_rows` as Markdown: arms by classifiers, then the intervals."""
    arms, classifiers = _distinct(accuracies, "arm"), _distinct(accuracies, "classifier")
    accuracy_at, change_at = _by_place(accuracies), _by_place(changes)
    overview = [
        [arm, *(_cell(accuracy_at.get((arm, name)), change_at.get((arm, name))) for name in classifiers)]
        for arm in arms
    ]
    details = [_detail(place, row, change_at.get(place)) for place, row in accuracy_at.items()]
    parts = [
        f"# {title}\n",
        markdown_table(["arm", *classifiers], overview, "l" + "r" * len(classifiers)),
        OVERVIEW_NOTE,
        f"## Intervals at {100 * level:g} %\n",
        markdown_table(DETAIL_COLUMNS, details, "llrrrrr"),
        DETAIL_NOTE,
    ]
    return "\n".join(parts)


def save_accuracy_bars(path: Path, title: str, accuracies: Sequence[Row], *, level: float) -> None:
    """Draw rows of `accuracy_rows` with their intervals: a group per classifier, a bar per arm."""
    classifiers, at = _distinct(accuracies, "classifier"), _by_place(accuracies)
    gap = dict.fromkeys(("accuracy", "error_low", "error_high"), float("nan"))  # not trained on that arm
    values: dict[str, list[float]] = {}
    bounds: dict[str, list[tuple[float, float]]] = {}
    for arm in _distinct(accuracies, "arm"):
        rows = [at.get((arm, name), gap) for name in classifiers]
        values[arm] = [100 * row["accuracy"] for row in rows]
        bounds[arm] = [(100 * (1 - row["error_high"]), 100 * (1 - row["error_low"])) for row in rows]
    save_bars(
        path,
        classifiers,
        values,
        errors=bounds,
        ylabel=f"test accuracy and {100 * level:g} % interval, %",
        title=title,
        ylim=(0, 100),
        value_format="{:.1f}",
    )


def _distinct(rows: Sequence[Row], column: str) -> list[str]:
    """Values of `column` in order of first appearance."""
    return list(dict.fromkeys(str(row[column]) for row in rows))


def _by_place(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    return {(row["arm"], row["classifier"]): row for row in rows}


def _cell(accuracy: Row | None, change: Row | None) -> str:
    if accuracy is None:
        return "–"
    if change is None:
        return percent(accuracy["accuracy"])
    mark = " *" if change["mcnemar_p"] < SIGNIFICANT else ""
    return f"{percent(accuracy['accuracy'])} ({points(change['change'])}){mark}"


def _detail(place: tuple[str, str], accuracy: Row, change: Row | None) -> list[str]:
    interval = percent_interval(1 - accuracy["error_high"], 1 - accuracy["error_low"])
    start = [*place, percent(accuracy["accuracy"]), interval]
    if change is None:
        return [*start, "–", "–", "–"]
    bounds = points_interval(change["change_low"], change["change_high"])
    return [*start, points(change["change"]), bounds, p_value(change["mcnemar_p"])]
