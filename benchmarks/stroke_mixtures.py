"""By which mixture of Gaussians strokes are scored best: directions, clusters a class, and what a width counts.

    dvc repro download && python benchmarks/stroke_mixtures.py

Fits `strokes_mixture` on training images alone, their classes told by their labels in place of a network's guess,
and ranks others of them, which are held out: one digit left out, one digit normal, planted anomalies. Writes
benchmarks/stroke_mixtures.csv and .md. No test image is read.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anomaly_auroc import FITTED, KINDS, NORMAL, PER_KIND
from machine import ROOT, commit_of, cores, processor
from numpy.typing import NDArray

from semisynth.anomaly.features import MahalanobisDetector, StrokesDetector
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.metrics import auroc
from semisynth.anomaly.planted import plant
from semisynth.data.imageset import ImageSet, load_images
from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "stroke_mixtures.csv", HERE / "stroke_mixtures.md"
COLUMNS = ["protocol", "target", "directions", "clusters", "score", "auroc", "commit"]
DIRECTIONS, CLUSTERS = (64, 96, 128, 160), (1, 2, 3, 5)
DENSITY, DISTANCE = "density", "distance"
DIGITS = ("1", "4", "7", "9")  # as for the ensemble's weights
HELD_OUT, SEED = 10_000, 100
NOTHING = np.empty((0, 0), np.float32)  # features of a network: strokes need none


class OfHistograms(StrokesDetector):
    """The detector, of histograms that were found before: they are put in place of features."""

    @staticmethod
    def _strokes(judged: Judged) -> NDArray[np.float32]:
        return judged.features


@dataclass(frozen=True)
class Ranked:
    """Images to rank by what is normal: those that are abnormal, and those that count, both bool (n,)."""

    protocol: str
    target: str
    is_anomaly: NDArray[np.bool_]
    counts: NDArray[np.bool_]


def seen(images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> Judged:
    """Images as a network would judge them that knows their classes; without labels all are of one."""
    logits = None if labels is None else np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]
    return Judged(images, None, StrokesDetector._strokes(Judged(images, None, NOTHING)), logits)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    commit = commit_of()  # before the run, in which it may change
    data = load_images(ROOT / "data" / "raw" / "train.npz")
    order = np.random.default_rng(SEED).permutation(len(data))
    held_out, rest = data.take(order[:HELD_OUT]), data.take(order[HELD_OUT:])
    hidden = plant(KINDS, held_out.images, held_out.labels, per_kind=PER_KIND, normal=NORMAL, seed=SEED)
    kinds = [Ranked("planted", kind, hidden.is_anomaly, hidden.among_normals(kind)) for kind in KINDS]
    everything = np.ones(len(held_out), np.bool_)
    digits, planted = seen(held_out.images), seen(hidden.images)
    rows = list(ranks(rest, planted, kinds, of_one_class=False))
    for digit in map(int, DIGITS):
        is_digit = held_out.labels == digit
        left_out = Ranked("left_out", str(digit), is_digit, everything)
        rows += ranks(rest.take(rest.labels != digit), digits, [left_out], of_one_class=False)
        alone = Ranked("one_class", str(digit), ~is_digit, everything)
        rows += ranks(rest.take(rest.labels == digit), digits, [alone], of_one_class=True)
    write_csv(ROWS, COLUMNS, [row | {"commit": commit} for row in rows])
    write_page()


def ranks(
    normal: ImageSet, others: Judged, cases: Sequence[Ranked], *, of_one_class: bool
) -> Iterator[dict[str, Any]]:
    """Yield the rows of cases with the same normal images, for every detector tried."""
    normal = normal.take(np.arange(min(FITTED, len(normal))))
    known = seen(normal.images, None if of_one_class else normal.labels)
    for directions, clusters in product(DIRECTIONS, CLUSTERS):
        detector = OfHistograms(directions=directions, clusters=clusters).fit(known)
        scores = {
            DENSITY: detector.score_samples(others),
            DISTANCE: MahalanobisDetector.score_samples(detector, others),
        }
        for case, (name, of_all) in product(cases, scores.items()):
            found = auroc(case.is_anomaly[case.counts], of_all[case.counts])
            at = {"directions": directions, "clusters": clusters, "score": name}
            yield {"protocol": case.protocol, "target": case.target} | at | {"auroc": f"{found:.5f}"}


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"commit": str})
    means = rows.groupby(["directions", "clusters", "score", "protocol"])["auroc"].mean().unstack() * 100
    means["mean"] = means.mean(axis=1)
    protocols = ["left_out", "one_class", "planted"]
    shipped = StrokesDetector().parameters()
    lines = []
    for (directions, clusters, score), found in means.sort_index().iterrows():
        is_shipped = (directions, clusters, score) == (shipped["directions"], shipped["clusters"], DENSITY)
        cells = [f"{found[name]:.2f}" for name in (*protocols, "mean")]
        lines.append((str(directions), str(clusters), score, *cells, "(shipped)" if is_shipped else ""))
    columns = ("directions", "clusters a class", "score", *protocols, "mean", "")
    text = [
        "# Strokes, by mixtures of Gaussians\n",
        markdown_table(columns, lines, "rrlrrrrl"),
        "AUROC in % among held-out training images, the mean over cases of each protocol, and the mean of these.\n"
        f"A {DISTANCE} is Mahalanobis' to the nearest cluster, a {DENSITY} the likeliest cluster's. More\n"
        f"clusters cost time in every job. Cases: digits {', '.join(DIGITS)} left out, the same alone normal,\n"
        f"planted {', '.join(KINDS)}. Classes are the true ones, in place of a network's guess.\n",
        f"{processor()}, {cores()} cores, commit {', '.join(rows['commit'].unique())}. Written by\n"
        f"`python benchmarks/{Path(__file__).name}`.\n",
    ]
    write_text(PAGE, "\n".join(text))


if __name__ == "__main__":
    main()
