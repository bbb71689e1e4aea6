"""What each part of the labeller is worth: unlabelled images with a right label, with that part taken out.

    dvc repro download && python benchmarks/ablation.py --draws 0 1

Appends a row a training to benchmarks/ablation.csv, for each part and draw of labels that it lacks, and writes
benchmarks/ablation.md from all rows. Safe to kill. The true labels of the unlabelled images are read after each
training, to count with; test images are not read. A shorter schedule than the pipeline's: --steps. Rows of an
earlier version, which took out parts that are no more, make room for those of this one.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from machine import ROOT, commit_of, cores, known_rows, processor

from semisynth.data.imageset import ImageSet, load_images
from semisynth.data.splitting import split_indices
from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table
from semisynth.synthesizers import propagation, spreading
from semisynth.synthesizers.labelling import LabellerModel, Schedule, train_labeller
from semisynth.synthesizers.propagation import graph_of_similar
from semisynth.training import distortion
from semisynth.training.precision import resolve_precision

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "ablation.csv", HERE / "ablation.md"
COLUMNS = ["labelled", "draw", "part", "steps", "right", "sure", "right_among_sure", "seconds", "commit"]
EPOCHS, BATCH_SIZE, SURE, VALIDATION = 12, 192, 0.9, 0.1

Patch = tuple[object, str, Any]


def only_classes(model: LabellerModel, step: Any) -> tuple[float, Any]:
    """Weights of the losses where views are never contrasted."""
    return 0.0, SHARES(model, step)[1]


SHARES: Callable[..., Any] = LabellerModel._shares
PARTS: dict[str, list[Patch]] = {
    "nothing": [],
    "votes": [(propagation, "VOTES", 0)],
    "doubt": [(propagation, "DOUBT", 0.0)],
    "graph of deformation": [(spreading, "_mean_of", lambda neighbours, deformed: neighbours)],
    "deformation, for histograms": [(spreading, "_graph_of_deformed", lambda _, *near: graph_of_similar(*near))],
    "strokes beside the features": [(spreading, "STROKES", 0.0)],
    "contrast of two views": [(LabellerModel, "_shares", only_classes)],
    "views: widths of strokes": [(distortion, "STROKE", 0.0)],
    "views: elastic distortion": [(distortion, "ELASTIC", 0.0)],
    "views: affine maps": [(distortion, name, 0.0) for name in ("ROTATION", "SHEAR", "SCALE", "SHIFT")],
    "new labels every round": [],
    "learning from spread labels": [],
}


def schedule(part: str, steps: int) -> Schedule:
    """Half of `steps` on contrast, then three rounds; one, or none, where that is what is taken out."""
    whole = Schedule(contrast=steps // 2, rounds=3, steps=steps // 6)
    if part == "new labels every round":
        return replace(whole, rounds=1, steps=steps // 2)
    return replace(whole, rounds=0) if part == "learning from spread labels" else whole


@contextmanager
def without(part: str) -> Iterator[None]:
    kept = [(place, name, vars(place)[name]) for place, name, _ in PARTS[part]]
    for place, name, value in PARTS[part]:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in kept:
            setattr(place, name, value)


def measure(train: ImageSet, labelled: int, draw: int, part: str, steps: int) -> dict[str, Any]:
    drawn = split_indices(train.labels, train.class_names, labelled, VALIDATION, draw)
    known, others = train.take(drawn.labelled), train.take(drawn.unlabelled)
    plan, start = schedule(part, steps), time.monotonic()
    with without(part):
        beliefs = train_labeller(
            known,
            others.images,
            plan,
            epochs=EPOCHS if plan.rounds else EPOCHS // 2,
            batch_size=BATCH_SIZE,
            seed=0,
            precision=resolve_precision("auto"),
        ).found
    right, sure = beliefs.argmax(axis=1) == others.labels, beliefs.max(axis=1) >= SURE
    return {
        "labelled": labelled,
        "draw": draw,
        "part": part,
        "steps": steps,
        "right": f"{right.mean():.5f}",
        "sure": f"{sure.mean():.5f}",
        "right_among_sure": f"{right[sure].mean():.5f}",
        "seconds": f"{time.monotonic() - start:.0f}",
        "commit": commit_of(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=100, help="value of split.labelled")
    parser.add_argument("--draws", type=int, nargs="*", default=[], help="values of split.seed")
    parser.add_argument("--steps", type=int, default=1200, help="updates in all, a multiple of 12")
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS), help="taken out, each in turn")
    given = parser.parse_args()
    rows = of_this_version(known_rows(ROWS))
    for draw in given.draws:
        for part in given.parts:
            if (str(given.labels), str(draw), part, str(given.steps)) not in map(key, rows):
                train = load_images(ROOT / "data" / "raw" / "train.npz")
                rows.append(measure(train, given.labels, draw, part, given.steps))
                write_csv(ROWS, COLUMNS, rows)
                write_page()
    write_page()


def of_this_version(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows, or none where a part is among them that only an earlier version had: its others are no better."""
    return [] if {row["part"] for row in rows} - PARTS.keys() else rows


def key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("labelled", "draw", "part", "steps"))


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str})
    pages = ["# What each part of the labeller is worth\n"]
    for (labelled, steps), group in rows.groupby(["labelled", "steps"]):
        draws = sorted(group["draw"].unique())
        right = group.pivot(index="part", columns="draw", values="right")
        sure = group.groupby("part")[["sure", "right_among_sure"]].mean()
        lines = [
            (
                part,
                *([percent(right.loc[part].mean())] if len(draws) > 1 else []),
                *(percent(right.loc[part].get(draw)) for draw in draws),
                percent(sure.loc[part, "sure"]),
                percent(sure.loc[part, "right_among_sure"]),
            )
            for part in [*PARTS, *sorted(set(right.index) - PARTS.keys())]  # those of earlier versions last
            if part in right.index
        ]
        means = ("mean",) if len(draws) > 1 else ()
        head = ("taken out", *means, *(f"draw {draw}" for draw in draws), "sure", "right among sure")
        pages.append(f"## {labelled} labels, {steps} updates: unlabelled images with the right label, in %\n")
        pages.append(markdown_table(head, lines, "l" + "r" * (len(head) - 1)))
    commits = ", ".join(rows["commit"].unique())
    if others := sorted(set(rows["part"]) - PARTS.keys()):
        pages.append(f"Of an earlier version: these rows, to which {', '.join(others)} belongs.\n")
    pages.append(
        f"`sure` is the share of images whose label has a probability of {SURE} or more. Without learning from "
        "spread labels there are half as many updates, on contrast alone; without contrast the first half of them "
        "does nothing. One training for each part and draw: some tenths may be chance. MNIST, seed 0, commit "
        f"{commits}; {processor()}, {cores()} cores. Written by `python benchmarks/ablation.py`.\n"
    )
    write_text(PAGE, "\n".join(pages))


def percent(share: float | None) -> str:
    return "–" if share is None or pd.isna(share) else f"{100 * share:.2f}"


if __name__ == "__main__":
    main()
