"""Test error by number of labels: the whole default run, on several draws of the labelled images.

    python benchmarks/label_budget.py --labels 20 100 1000 --draws 0 1 2

Runs `dvc repro compare` in a fresh clone of HEAD for each number of labels and each draw (`split.seed`) that
benchmarks/label_budget.csv lacks, appends its rows, and writes benchmarks/label_budget.md and .png from all rows.
Safe to kill. `default_run.py --keep-results` adds its own rows. SEMISYNTH_MIRROR is taken from the environment.
"""

import argparse
import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from machine import Run, clone_head, commit_of, cores, known_rows, measured, processor

from semisynth.files import write_csv, write_text
from semisynth.reporting.canvas import INK, NORMAL, colour, legend_beside, new_figure, save_png, tidy
from semisynth.reporting.tables import markdown_table

HERE = Path(__file__).resolve().parent
ROWS, PAGE, FIGURE = HERE / "label_budget.csv", HERE / "label_budget.md", HERE / "label_budget.png"
RUN = ["dataset", "labelled", "draw"]
COLUMNS = [*RUN, "arm", "classifier", "error", "seconds", "peak_mib", "commit"]
NOTE = """\
The wall time is that of `dvc repro compare`: all arms, but neither `evaluate_synthetic` (3 minutes of the default
run) nor the two stages of anomaly scoring (a quarter of one). Draw 0 with 100 labels is a whole `dvc repro`. The
commit is that of the code that ran, whose default settings it used: before 5c3cab25821e there were half as many
synthetic images, of latents as they were trained; before 8acb1c3776b2 the CNN was the book's; before 1be03bf1df89
labels spread without strokes; before 03a1013799cf LightGBM told 255 grey levels apart; before 226903ec374d the two
views that labels spread over did not vote for each other; before d673b1b55768 labels did not spread over
neighbours by deformation, arms took labels of a probability of .9 or more alone, and the CNN trained for 2,800
updates at most; before 8a4f5b0cb760 its filters were as many with 50,000 labels as with fewer; before 85f8ad8caf5c
it made 20 passes over a small data set, as the digits are, and not 60.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="*", default=[], help="values of split.labelled")
    parser.add_argument("--draws", type=int, nargs="*", default=[], help="values of split.seed")
    parser.add_argument("--dataset", default="mnist")
    given = parser.parse_args()
    for draw in given.draws:
        for labelled in given.labels:
            if (given.dataset, str(labelled), str(draw)) not in {key(row) for row in known_rows(ROWS)}:
                run_one(given.dataset, labelled, draw)
                write_page()
    write_page()


def run_one(dataset: str, labelled: int, draw: int) -> None:
    with tempfile.TemporaryDirectory(prefix="label-budget-") as temporary:
        clone = Path(temporary) / "clone"
        clone_head(clone, {"download": {"dataset": dataset}, "split": {"labelled": labelled, "seed": draw}})
        add_rows(clone, draw, measured(("dvc", "repro", "compare"), clone))


def key(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in RUN)


def add_rows(clone: Path, draw: int, run: Run) -> None:
    """Add the rows of a finished run in `clone`, in place of earlier ones of the same labels and draw."""
    with (clone / "results" / "compare" / "accuracy.csv").open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    shared = {
        "draw": str(draw),
        "seconds": f"{run.seconds:.0f}",
        "peak_mib": f"{run.peak / 2**20:.0f}",
        "commit": commit_of(clone),
    }
    fresh = [{name: row[name] for name in COLUMNS if name in row} | shared for row in found]
    write_csv(ROWS, COLUMNS, [row for row in known_rows(ROWS) if key(row) != key(fresh[0])] + fresh)


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str})
    parts = ["# Test error by number of labels\n", "![Test error by number of labels](label_budget.png)\n"]
    parts.append("## Classifier `cnn`, from the labelled images alone to arm `all`: test error in %\n")
    parts.append(summary(rows))
    for (dataset, labelled), group in rows.groupby(["dataset", "labelled"]):
        draws = group["draw"].nunique()
        parts.append(f"## {dataset}, {labelled} labels: test error in %, {draws} label draw{'s' * (draws > 1)}\n")
        parts += tables(group)
    parts.append(f"{NOTE}\n{processor()}, {cores()} cores. Written by `python benchmarks/label_budget.py`.\n")
    draw_figure(rows)
    write_text(PAGE, "\n".join(parts))


def summary(rows: pd.DataFrame) -> str:
    """A line for each data set and number of labels: means with spread of the first and the last arm, and time."""
    lines = []
    for (dataset, labelled), group in rows[rows["classifier"] == "cnn"].groupby(["dataset", "labelled"]):
        errors = [spread(100 * group.loc[group["arm"] == arm, "error"]) for arm in ("labelled", "all")]
        minutes = [f"{minute:.0f}" for minute in sorted({*(group["seconds"] / 60).round().agg(["min", "max"])})]
        draws = group["draw"].nunique()
        lines.append((dataset, f"{labelled:,}", str(draws), *errors, f"{' to '.join(minutes)} min"))
    heads = ("data set", "labels", "draws", "`labelled`", "`all`", "time up to `compare`")
    return markdown_table(heads, lines, "lrrrrr")


def tables(rows: pd.DataFrame) -> Iterator[str]:
    """Means with spread, each draw, and each run, of one number of labels."""
    arms, classifiers = rows["arm"].unique(), rows["classifier"].unique()
    error = 100 * rows.set_index(["arm", "classifier", "draw"])["error"].sort_index()
    draws = sorted(rows["draw"].unique())
    means = [(arm, *(spread(error[arm, name]) for name in classifiers)) for arm in arms]
    yield markdown_table(("arm", *classifiers), means, "l" + "r" * len(classifiers))
    if len(draws) > 1:
        each = [
            (arm, name, *(f"{error[arm, name, draw]:.2f}" for draw in draws))
            for arm in arms
            for name in classifiers
        ]
        yield markdown_table(
            ("arm", "classifier", *(f"draw {draw}" for draw in draws)), each, "ll" + "r" * len(draws)
        )
    runs = rows.drop_duplicates("draw").sort_values("draw")
    lines = [(str(r.draw), f"{r.seconds / 60:.1f} min", f"{r.peak_mib} MiB", r.commit) for r in runs.itertuples()]
    yield markdown_table(("draw", "wall time", "peak memory", "commit"), lines, "lrrl")


def spread(values: pd.Series) -> str:
    """The mean, and the standard deviation where there are several."""
    return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) > 1 else f"{values.iloc[0]:.2f}"


def draw_figure(rows: pd.DataFrame) -> None:
    """Draw the mean error of every classifier, on the labelled images alone (dashed, hollow) and on arm `all`.

    Of the data set with the most rows: curves of several would cross each other.
    """
    dataset = rows["dataset"].mode()[0]
    rows = rows[rows["dataset"] == dataset]
    means = 100 * rows.groupby(["classifier", "arm", "labelled"])["error"].mean()
    figure = new_figure(8.5, 4.5)
    axes = figure.add_subplot()
    tidy(axes, title=f"{dataset}: labelled images alone (dashed, hollow) and all sources", grid="both")
    for index, name in enumerate(rows["classifier"].unique(), start=1):
        for arm, style, fill in (("labelled", "--", "white"), ("all", "-", colour(index))):
            curve = means[name, arm]
            label = name if arm == "all" else None
            look = {"color": colour(index), "marker": "o", "markersize": 6, "markerfacecolor": fill}
            axes.plot(curve.index, curve, style, label=label, **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    counts = sorted(rows["labelled"].unique())
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.xaxis.minorticks_off()
    ticks = [tick for tick in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if tick >= means.min() / 2]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.minorticks_off()
    axes.set_xlabel("labelled images", fontsize=NORMAL, color=INK)
    axes.set_ylabel("test error (%)", fontsize=NORMAL, color=INK)
    legend_beside(figure, axes)
    save_png(figure, FIGURE)


if __name__ == "__main__":
    main()
