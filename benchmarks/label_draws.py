"""The default run on several draws of the labelled images: a row a classifier and arm, and the table of means.

    python benchmarks/label_draws.py --draws 1 2

Runs `dvc repro compare` in a fresh clone of HEAD for each draw (`split.seed`) that benchmarks/label_draws.csv
lacks, appends its rows, and writes benchmarks/label_draws.md from all rows. Safe to kill.
`default_run.py --keep-results` adds its own rows, of draw 0. SEMISYNTH_MIRROR is taken from the environment.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import pandas as pd
from machine import ROOT, Run, cores, git, measured, processor
from ruamel.yaml import YAML

from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "label_draws.csv", HERE / "label_draws.md"
COLUMNS = ["dataset", "labelled", "draw", "arm", "classifier", "error", "seconds", "peak_mib", "commit"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, nargs="*", default=[], help="values of split.seed")
    for draw in parser.parse_args().draws:
        if draw not in {int(row["draw"]) for row in known_rows()}:
            run_draw(draw)
    write_page()


def run_draw(draw: int) -> None:
    with tempfile.TemporaryDirectory(prefix="label-draws-") as temporary:
        clone = Path(temporary) / "clone"
        git("clone", "--quiet", str(ROOT), str(clone), folder=ROOT)
        yaml = YAML(typ="safe", pure=True)  # builds plain values alone
        params = yaml.load(clone / "params.yaml")
        params["split"]["seed"] = draw
        yaml.dump(params, clone / "params.yaml")
        add_rows(clone, draw, measured(("dvc", "repro", "compare"), clone))


def known_rows() -> list[dict[str, str]]:
    if not ROWS.exists():
        return []
    with ROWS.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def add_rows(clone: Path, draw: int, run: Run) -> None:
    """Add the rows of a finished run in `clone`, in place of earlier ones of the same draw."""
    with (clone / "results" / "compare" / "accuracy.csv").open(newline="", encoding="utf-8") as stream:
        measured = list(csv.DictReader(stream))
    shared = {
        "draw": draw,
        "seconds": f"{run.seconds:.0f}",
        "peak_mib": f"{run.peak / 2**20:.0f}",
        "commit": git("rev-parse", "HEAD", folder=clone)[:12],
    }
    fresh = [{name: row[name] for name in COLUMNS if name in row} | shared for row in measured]
    write_csv(ROWS, COLUMNS, [row for row in known_rows() if int(row["draw"]) != draw] + fresh)


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str})
    arms, classifiers = rows["arm"].unique(), rows["classifier"].unique()
    accuracy = rows.assign(accuracy=100 * (1 - rows["error"])).set_index(["arm", "classifier", "draw"])["accuracy"]
    draws = sorted(rows["draw"].unique())
    means = [(arm, *(spread(accuracy[arm, name]) for name in classifiers)) for arm in arms]
    each = [
        (arm, name, *(f"{accuracy[arm, name, draw]:.2f}" for draw in draws))
        for arm in arms
        for name in classifiers
    ]
    runs = rows.drop_duplicates("draw").sort_values("draw")
    of_runs = [
        (str(r.draw), f"{r.seconds / 60:.1f} min", f"{r.peak_mib} MiB", r.commit) for r in runs.itertuples()
    ]
    dataset, labelled = rows["dataset"].iloc[0], rows["labelled"].iloc[0]
    note = "Draw 0 ran all stages, the others those that `compare` needs. The commit is that of the code that ran."
    title = f"{dataset}, {labelled} labels: test accuracy in %"
    parts = [
        f"# {title}, mean ± standard deviation over {len(draws)} label draws\n",
        markdown_table(("arm", *classifiers), means, "l" + "r" * len(classifiers)),
        "## Each draw\n",
        markdown_table(("arm", "classifier", *(f"draw {draw}" for draw in draws)), each, "ll" + "r" * len(draws)),
        "## Each run\n",
        markdown_table(("draw", "wall time", "peak memory", "commit"), of_runs, "lrrl"),
        f"{note}\n\n{processor()}, {cores()} cores. Written by `benchmarks/label_draws.py`.\n",
    ]
    write_text(PAGE, "\n".join(parts))


def spread(values: pd.Series) -> str:
    return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) > 1 else f"{values.iloc[0]:.2f}"


if __name__ == "__main__":
    main()
