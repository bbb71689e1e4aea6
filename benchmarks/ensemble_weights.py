"""Which members the ensemble deserves, and with which weights, by training images alone.

    dvc repro split && python benchmarks/ensemble_weights.py --protocols left_out one_class planted

Trains the detectors of each case that benchmarks/ensemble_weights.csv lacks on four fifths of the training images,
ranks the last fifth, in place of test images, by every combination of weights tried, and writes
benchmarks/ensemble_weights.md from all rows. Safe to kill. Test images are not read.
"""

import argparse
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from anomaly_auroc import FITTED, KINDS, PROTOCOLS, Case, cases, draw, normal_part
from anomaly_training import Budget, train
from machine import ROOT, commit_of, cores, known_rows, processor

from semisynth.anomaly.metrics import auroc, ranking_by_kind
from semisynth.anomaly.planted import plant
from semisynth.anomaly.suite import MEMBERS, combined
from semisynth.data.imageset import ImageSet, load_images
from semisynth.files import write_csv, write_text
from semisynth.reporting.tables import markdown_table
from semisynth.scoring.fitting import fit_detector_model

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "ensemble_weights.csv", HERE / "ensemble_weights.md"
KEY = ["protocol", "target", "labelled", "seed"]
COLUMNS = [*KEY, "weights", "auroc", "commit"]
CANDIDATES = ("class_logsumexp", "features_mahalanobis", "features_knn", "strokes_mixture")
TRIED = (0.0, 1.0, 2.0, 4.0)
DRAW, HELD_OUT = 100, 0.2  # a seed of its own divides the training images, the same way in every case
PER_KIND, NORMAL, BEST = 500, 5000, 12


def combinations() -> Iterator[Mapping[str, float]]:
    """Every combination of weights, those of equal proportions once."""
    seen = set()
    for weights in product(TRIED, repeat=len(CANDIDATES)):
        if any(weights) and (shares := tuple(weight / max(weights) for weight in weights)) not in seen:
            seen.add(shares)
            yield dict(zip(CANDIDATES, weights, strict=True))


def run(case: Case, rest: ImageSet, held_out: ImageSet, budget: Budget, commit: str) -> None:
    """Train, fit, rank the held-out images by every combination, and add the rows of the case."""
    data = normal_part(case, rest)
    known, images, calibration = draw(case, data)
    synthesizer = train(images, known, case.seed, "semi_acgan", budget)
    ids = [str(row) for row in range(len(images[:FITTED]))]
    model = fit_detector_model(
        synthesizer,
        images[:FITTED],
        ids,
        calibration,
        data.class_names,
        generated=0,
        members=dict.fromkeys(CANDIDATES, 1.0),
        seed=case.seed,
    )
    hidden = None
    if case.protocol == "planted":
        hidden = plant(KINDS, held_out.images, held_out.labels, per_kind=PER_KIND, normal=NORMAL, seed=case.seed)
    scores = model.suite.scores(model.judge(held_out.images if hidden is None else hidden.images), CANDIDATES)
    rows: list[dict[str, object]] = []
    for weights in combinations():
        used = {name: scale for name, scale in model.suite.scales.items() if weights[name]}
        if not used:
            continue
        together = combined(scores, used, weights)
        if hidden is None:
            is_anomaly = (held_out.labels == int(case.target)) == (case.protocol == "left_out")
            found = {case.target: auroc(is_anomaly, together)}
        else:
            ranks = ranking_by_kind(hidden, together)
            found = {kind: ranks[kind]["auroc"] for kind in KINDS}
        same = dict(zip(KEY, case.key, strict=True)) | {"weights": written(weights), "commit": commit}
        rows += [same | {"target": target, "auroc": f"{value:.5f}"} for target, value in found.items()]
    write_csv(ROWS, COLUMNS, [*known_rows(ROWS), *rows])


def written(weights: Mapping[str, float]) -> str:
    """The weights as they stand in the CSV, in the order of the candidates."""
    return " ".join(f"{weights.get(name, 0.0):g}" for name in CANDIDATES)


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"target": str, "commit": str})
    means = rows.groupby(["weights", "protocol"])["auroc"].mean().unstack() * 100
    means.insert(0, "mean", means.mean(axis=1))
    ranked = means.sort_values("mean", ascending=False)
    alone = [written({one: 1.0}) for one in CANDIDATES]
    shipped = written(MEMBERS)
    shown = list(dict.fromkeys([*ranked.index[:BEST], shipped, *alone]))
    lines = []
    for weights in shown:
        note = " (shipped)" if weights == shipped else ""
        cells = (f"{value:.2f}" for value in ranked.loc[weights])
        lines.append((str(int(ranked.index.get_loc(weights)) + 1), *weights.split(), *cells, note.strip()))
    header = ("rank", *CANDIDATES, *(str(name) for name in ranked.columns), "")
    table = markdown_table(header, lines, "r" * (len(header) - 1) + "l")
    tried = (
        rows[KEY].drop_duplicates().groupby("protocol")["target"].apply(lambda one: ", ".join(sorted(set(one))))
    )
    targets = "; ".join(f"{protocol}: {listed}" for protocol, listed in tried.items())
    page = f"""\
# The ensemble by its members' weights

{table}
AUROC in % among held-out training images: the mean over cases of each protocol, and the mean of these means. The
best {BEST} of {len(ranked)} combinations, the one that ships, and each candidate alone. Cases, {targets}.
{processor()}, {cores()} cores, commit {", ".join(rows["commit"].unique())}. Written by
`python benchmarks/ensemble_weights.py`.
"""
    write_text(PAGE, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=ROOT / "data" / "raw", help="folder of train.npz")
    parser.add_argument("--protocols", choices=PROTOCOLS, nargs="*", default=[], help="none draws the page")
    parser.add_argument("--digits", nargs="+", default=["1", "4", "7", "9"], help="left out or normal")
    parser.add_argument("--labelled", type=int, nargs="+", default=[100], help="labelled images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100], help="of draw and training")
    parser.add_argument("--steps", type=int, default=400, help="updates of each training")
    parser.add_argument("--labeller-steps", type=int, default=400, help="updates of each labeller")
    given = parser.parse_args()
    done = {tuple(row[name] for name in ("protocol", "labelled", "seed", "target")) for row in known_rows(ROWS)}
    budget, todo = Budget(given.steps, given.labeller_steps), []
    for case in cases(given.protocols, given.digits, given.labelled, given.seeds):
        target = KINDS[0] if case.protocol == "planted" else case.target
        if (case.protocol, str(case.labelled), str(case.seed), target) not in done:
            todo.append(case)
    if todo:
        train_set = load_images(given.raw / "train.npz")
        order = np.random.default_rng(DRAW).permutation(len(train_set))
        cut = int(HELD_OUT * len(order))
        commit = commit_of()
        for case in todo:
            print(" ".join(map(str, case.key)), flush=True)
            run(case, train_set.take(order[cut:]), train_set.take(order[:cut]), budget, commit)
            write_page()
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
