"""What an image's neighbours are worth before any network learns: by gradient histograms, and by deformation.

    dvc repro download && python benchmarks/neighbours.py --draws 100 101 102 103 104

Of all training images: how many are of another class than most of their three nearest others. Then how few labels
spread over them, for each draw of labels and each graph, with and without doubt. Writes benchmarks/neighbours.csv
and benchmarks/neighbours.md. True labels are read to count with; test images are not read.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import ROOT, commit_of, cores, processor
from numpy.typing import NDArray
from scipy import sparse

from semisynth.data.imageset import ImageSet, load_images
from semisynth.data.splitting import split_indices
from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table
from semisynth.synthesizers import propagation
from semisynth.synthesizers.deformation import deformed_distances
from semisynth.synthesizers.propagation import graph_of_similar, neighbours, spread
from semisynth.synthesizers.spreading import CANDIDATES, Strokes

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "neighbours.csv", HERE / "neighbours.md"
LABELS, VOTERS, SURE, VALIDATION = (20, 100, 1000), 3, 0.9, 0.1
COLUMNS = ["labelled", "draw", "graph", "doubt", "wrong", "sure", "wrong_among_sure", "commit"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, nargs="+", default=[100], help="values of split.seed")
    given = parser.parse_args()
    train = load_images(ROOT / "data" / "raw" / "train.npz")
    strokes = Strokes.of(train.take(np.arange(1)), train.images[1:])  # in the order of the training images
    similar, nearest = neighbours(strokes.features, CANDIDATES)
    order = np.argsort(deformed_distances(train.images, nearest), axis=1, kind="stable")
    outvoted = {
        "gradient histograms": outvoted_by(nearest, train.labels, train.classes),
        "deformation": outvoted_by(np.take_along_axis(nearest, order, axis=1), train.labels, train.classes),
    }
    graphs = {"gradient histograms": graph_of_similar(similar, nearest), "deformation": strokes.graph}
    graphs["both"] = (graphs["gradient histograms"] + graphs["deformation"]) / 2
    rows = [row for draw in given.draws for count in LABELS for row in spread_all(train, graphs, count, draw)]
    write_csv(ROWS, COLUMNS, rows)
    write_text(PAGE, page(pd.DataFrame(rows), outvoted))


def outvoted_by(nearest: NDArray[np.integer], labels: NDArray[np.int64], classes: int) -> float:
    """The share of images whose class is not that of most of the nearest; the nearest decides among equals."""
    near = labels[nearest[:, :VOTERS]]
    votes = np.eye(classes)[near].sum(axis=1) + 0.5 * np.eye(classes)[near[:, 0]]
    return float((votes.argmax(axis=1) != labels).mean())


def spread_all(
    train: ImageSet, graphs: dict[str, sparse.csr_array], labelled: int, draw: int
) -> Iterator[dict[str, Any]]:
    """A row for each graph, with doubt and without, of the images that keep no label in such a draw."""
    drawn = split_indices(train.labels, train.class_names, labelled, VALIDATION, draw)
    order = np.concatenate([drawn.labelled, drawn.unlabelled, drawn.validation])
    known, truth = train.labels[drawn.labelled], train.labels[drawn.unlabelled]
    for name, graph in graphs.items():
        for doubt in (propagation.DOUBT, 0.0):
            with doubting(doubt):
                beliefs = spread(graph[order][:, order], known, train.classes)[: len(truth)]
            wrong, sure = beliefs.argmax(axis=1) != truth, beliefs.max(axis=1) >= SURE
            yield {
                "labelled": labelled,
                "draw": draw,
                "graph": name,
                "doubt": doubt,
                "wrong": f"{wrong.mean():.5f}",
                "sure": f"{sure.mean():.5f}",
                "wrong_among_sure": f"{wrong[sure].mean():.5f}",
                "commit": commit_of(),
            }


@contextmanager
def doubting(doubt: float) -> Iterator[None]:
    kept, propagation.DOUBT = propagation.DOUBT, doubt
    try:
        yield
    finally:
        propagation.DOUBT = kept


def page(rows: pd.DataFrame, outvoted: dict[str, float]) -> str:
    measures = ["wrong", "sure", "wrong_among_sure"]
    rows[measures] = 100 * rows[measures].astype(float)
    groups = rows.groupby(["labelled", "graph", "doubt"], sort=False)[measures]
    mean, spread_of = groups.mean(), groups.std(ddof=1)
    lines = [
        (*map(str, key), *(f"{mean.loc[key, name]:.2f} ± {spread_of.loc[key, name]:.2f}" for name in measures))
        for key in mean.index
    ]
    head = ("labels", "graph", "doubt", "wrong", "sure", "wrong among sure")
    told = ", ".join(f"{100 * share:.2f} % by {name}" for name, share in outvoted.items())
    draws = ", ".join(map(str, rows["draw"].unique()))
    return (
        "# What neighbours are worth before any network learns\n\n"
        f"Training images whose class most of their {VOTERS} nearest others don't have: {told}.\n\n"
        "## Labels spread over graphs of them: unlabelled training images with a wrong label, in %\n\n"
        f"{markdown_table(head, lines, 'rlrrrr')}\n"
        f"Mean and standard deviation over draws {draws} of the labels. `sure` is the share of images whose label "
        f"has a probability of {SURE} or more. MNIST, commit {rows['commit'].iloc[0]}; {processor()}, {cores()} "
        "cores. Written by `python benchmarks/neighbours.py`.\n"
    )


if __name__ == "__main__":
    main()
