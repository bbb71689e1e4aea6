"""How well the detectors rank anomalies: one digit left out, one digit normal, and planted anomalies by kind.

    dvc repro split && python benchmarks/anomaly_auroc.py --protocols left_out --labelled 100 --seeds 0 1 2

Trains a recipe for each case that benchmarks/anomaly_auroc.csv lacks, appends its rows, and writes
benchmarks/anomaly_auroc.md and .png from all rows. Safe to kill. The detectors learn from training images that are
normal in the case, and are calibrated on others of these; test images are scored once, and choose nothing. Trained
networks are kept: where detectors alone have changed, delete the rows of a case, those of its autoencoders apart,
and run again.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from anomaly_training import Budget, train
from machine import ROOT, commit_of, cores, known_rows, processor
from numpy.typing import NDArray

from semisynth.anomaly.conformal import p_values
from semisynth.anomaly.judged import Judged
from semisynth.anomaly.metrics import auroc, average_precision, ranking_by_kind
from semisynth.anomaly.planted import plant
from semisynth.anomaly.restoring import Autoencoder, AutoencoderDetector
from semisynth.data.imageset import ImageSet, load_images
from semisynth.files import write_csv, write_text
from semisynth.reporting.figures import save_bars
from semisynth.reporting.tables import markdown_table
from semisynth.scoring.fitting import fit_detector_model
from semisynth.scoring.model import DetectorModel

HERE = Path(__file__).resolve().parent
ROWS, ALARMS = HERE / "anomaly_auroc.csv", HERE / "anomaly_false_alarms.csv"
PAGE, FIGURE = HERE / "anomaly_auroc.md", HERE / "anomaly_auroc.png"
KEY = ["protocol", "target", "labelled", "seed"]
HOW = ["recipe", "steps", "labeller_steps"]
COLUMNS = [*KEY, "detector", "auroc", "average_precision", *HOW, "commit"]
ALARM_COLUMNS = [*KEY, "detector", "alpha", "false_alarm_rate", *HOW]
ALPHAS = (0.01, 0.05, 0.1)
PROTOCOLS = {
    "left_out": "one digit is left out of training, and is the anomaly",
    "one_class": "one digit is normal, all others are anomalies",
    "planted": "noise, inverted, shuffled and blended digits and letters among all digits",
}
AUTOENCODER = "autoencoder"
KINDS = ("noise", "inverted", "shuffled", "blended", "letter")
ALL_DIGITS, PER_KIND, NORMAL = "all", 500, 5000
FITTED, CALIBRATION_SHARE = 10_000, 0.1


@dataclass(frozen=True)
class Case:
    """One training: `target` is the digit that is left out or normal, or "all"."""

    protocol: str
    target: str
    labelled: int
    seed: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The values of KEY, as they stand in the CSV."""
        return self.protocol, self.target, str(self.labelled), str(self.seed)


def cases(
    protocols: Sequence[str], digits: Sequence[str], labelled: Sequence[int], seeds: Sequence[int]
) -> Iterator[Case]:
    """Give every case that was asked for; one digit alone needs no labels, planted anomalies no digit."""
    for seed in seeds:
        for protocol in protocols:
            for count in [0] if protocol == "one_class" else labelled:
                for target in [ALL_DIGITS] if protocol == "planted" else digits:
                    yield Case(protocol, target, count, seed)


def normal_part(case: Case, data: ImageSet) -> ImageSet:
    """Images that are normal in the case, their classes numbered anew."""
    if case.protocol == "planted":
        return data
    is_target = data.labels == int(case.target)
    if case.protocol == "one_class":  # a set has two classes or more: the second stays empty
        part = data.take(is_target)
        return replace(part, labels=np.zeros(len(part), np.int64), class_names=(case.target, "none"))
    part = data.take(~is_target)
    names = tuple(name for name in data.class_names if name != data.class_names[int(case.target)])
    return replace(part, labels=part.labels - (part.labels > int(case.target)), class_names=names)


def draw(case: Case, data: ImageSet) -> tuple[ImageSet, NDArray[np.uint8], NDArray[np.uint8]]:
    """Labelled images, drawn evenly; all images to train on; and images for the calibration, apart from them."""
    random = np.random.default_rng(case.seed)
    order = random.permutation(len(data))
    held_out = int(CALIBRATION_SHARE * len(data))
    rest = data.take(order[held_out:])
    if case.labelled:
        shares = np.bincount(np.arange(case.labelled) % data.classes, minlength=data.classes)
        rows = [np.flatnonzero(rest.labels == label)[:share] for label, share in enumerate(shares)]
        known = rest.take(np.concatenate(rows))
    else:
        known = rest
    return known, rest.images, data.images[order[:held_out]]


def run(case: Case, train_set: ImageSet, test: ImageSet, recipe: str, budget: Budget, commit: str) -> None:
    """Train, fit, score the test images once, and add the rows of the case."""
    data = normal_part(case, train_set)
    known, images, calibration = draw(case, data)
    synthesizer = train(images, known, case.seed, recipe, budget)
    model = fit_detector_model(
        synthesizer,
        images[:FITTED],
        [str(row) for row in range(len(images[:FITTED]))],
        calibration,
        data.class_names,
        seed=case.seed,
    )
    same = dict(zip(KEY, case.key, strict=True)) | settings(recipe, budget)
    rows: list[dict[str, object]] = []
    alarms: list[dict[str, object]] = []
    normal, held_out = model.judge(images[:FITTED]), model.judge(calibration)
    if case.protocol == "planted":
        hidden = plant(KINDS, test.images, test.labels, per_kind=PER_KIND, normal=NORMAL, seed=case.seed)
        test_images, is_anomaly = hidden.images, hidden.is_anomaly
    else:
        test_images, is_anomaly = test.images, (test.labels == int(case.target)) == (case.protocol == "left_out")
    kinds = [] if autoencoders_are_known(same) else get_args(Autoencoder)
    for name, scores, chances in scored(model, normal, held_out, model.judge(test_images), case.seed, kinds):
        found = same | {"commit": commit, "detector": name}
        if case.protocol == "planted":
            rows += [found | {"target": kind} | ranks for kind, ranks in ranking_by_kind(hidden, scores).items()]
        else:
            ranks = {
                "auroc": auroc(is_anomaly, scores),
                "average_precision": average_precision(is_anomaly, scores),
            }
            rows.append(found | ranks)
        alarms += [same | {"detector": name} | alarm for alarm in false_alarms(chances[~is_anomaly])]
    others = [
        row
        for row in known_rows(ALARMS)
        if is_other(row, same) or (not kinds and row["detector"].startswith(AUTOENCODER))
    ]
    write_csv(ALARMS, ALARM_COLUMNS, [*others, *alarms])
    write_csv(ROWS, COLUMNS, [*known_rows(ROWS), *rows])  # last: it says that the case is done


def scored(
    model: DetectorModel,
    normal: Judged,
    held_out: Judged,
    judged: Judged,
    seed: int,
    kinds: Sequence[Autoencoder],
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Every detector's name, scores and p-values: the suite's, and autoencoders of some `kinds`.

    These learn from the `normal` images; `held_out` calibrates them.
    """
    suite = model.suite
    for name, scores in suite.scores(judged, suite.names).items():
        yield name, scores, suite.p_values(name, scores)
    for kind in kinds:
        detector = AutoencoderDetector(kind, random_state=seed).fit(normal)
        scores = detector.score_samples(judged)
        yield f"{AUTOENCODER}, {kind}", scores, p_values(scores, np.sort(detector.score_samples(held_out)))


def false_alarms(of_normal: NDArray[np.float64]) -> Iterator[dict[str, object]]:
    """The share of normal test images whose p-value is at most alpha, for each alpha that is asked."""
    for alpha in ALPHAS:
        yield {"alpha": alpha, "false_alarm_rate": float(np.mean(of_normal <= alpha))}


def autoencoders_are_known(same: Mapping[str, str]) -> bool:
    """Tell whether autoencoders have such rows with any number of labels: they learn from none."""
    return any(
        row["detector"].startswith(AUTOENCODER)
        and not is_other(row, {name: value for name, value in same.items() if name != "labelled"})
        for row in known_rows(ROWS)
    )


def is_done(case: Case, how: dict[str, str]) -> bool:
    """Tell whether the case has rows by these settings, beside autoencoders'; of "planted", some kind has them."""
    wanted = dict(zip(KEY, case.key, strict=True)) | how
    rows = (row for row in known_rows(ROWS) if not row["detector"].startswith(AUTOENCODER))
    return any(not is_other(row, wanted) for row in rows)


def is_other(row: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether the row differs from what is wanted."""
    return any(row[name] != value for name, value in wanted.items())


def settings(recipe: str, budget: Budget) -> dict[str, str]:
    """How a case is trained, as it stands in the CSV."""
    return dict(zip(HOW, (recipe, str(budget.steps), str(budget.labeller_steps)), strict=True))


def write_page() -> None:
    rows = pd.read_csv(ROWS, dtype={"target": str, "commit": str})
    alarms = pd.read_csv(ALARMS, dtype={"target": str})
    parts = ["# Anomalies: AUROC in %, mean ± standard deviation over seeds of the mean over targets\n"]
    chart: dict[str, dict[str, float]] = {}
    place = ["protocol", "labelled", *HOW]
    alarms_of = dict(list(alarms.groupby(place)))
    learned = set(rows.loc[rows["detector"].str.startswith(AUTOENCODER), "protocol"])
    for where, group in rows.groupby(place, sort=False):
        protocol, labelled, recipe, steps, labeller_steps = where
        title = f"{protocol}, {labelled} labels" if labelled else str(protocol)
        parts += [f"## {title}: {PROTOCOLS[str(protocol)]}\n"]
        by = ", ".join(group["commit"].unique())
        parts += [
            f"Recipe {recipe}, {steps} updates, and {labeller_steps} of its labeller; commit {by}.\n",
            protocol_table(group),
        ]
        if protocol in learned and not group["detector"].str.startswith(AUTOENCODER).any():
            parts.append("Autoencoders learn from no labels: see the table with other numbers of labels.\n")
        own = alarms_of[where]
        parts += [
            "False alarms among normal test images, mean over the cases (least to most):\n",
            alarm_table(own),
        ]
        chart[f"{title}, {steps} + {labeller_steps} updates"] = (
            100 * group[group["target"] != ALL_DIGITS].groupby("detector", sort=False)["auroc"].mean()
        )
    names = list(dict.fromkeys(rows["detector"]))
    series = {title: [means.get(name, float("nan")) for name in names] for title, means in chart.items()}
    save_bars(FIGURE, names, series, ylabel="mean AUROC in %", title="Anomalies on MNIST", horizontal=True)
    parts.append(f"![Mean AUROC by detector]({FIGURE.name})\n")
    parts.append(f"{processor()}, {cores()} cores. Written by `benchmarks/anomaly_auroc.py`.\n")
    write_text(PAGE, "\n".join(parts))


def protocol_table(rows: pd.DataFrame) -> str:
    """Give a row per detector: the mean over targets, each target, and the mean average precision."""
    targets = [target for target in dict.fromkeys(rows["target"]) if target != ALL_DIGITS]
    lines = []
    for name, own in rows[rows["target"].isin(targets)].groupby("detector", sort=False):
        means = own.groupby("target")["auroc"].mean()
        cells = [f"{100 * means[target]:.1f}" if target in means else "" for target in targets]
        precision = 100 * own.groupby("seed")["average_precision"].mean()
        lines.append((str(name), spread(100 * own.groupby("seed")["auroc"].mean()), *cells, spread(precision)))
    columns = ("detector", "mean", *targets, "average precision")
    return markdown_table(columns, lines, "l" + "r" * (len(columns) - 1))


def alarm_table(rows: pd.DataFrame) -> str:
    """A row per detector, a column per rate that was asked for."""
    asked = sorted(rows["alpha"].unique())
    lines = []
    for name, own in rows.groupby("detector", sort=False):
        rates = [100 * own.loc[own["alpha"] == alpha, "false_alarm_rate"] for alpha in asked]
        lines.append((str(name), *(f"{one.mean():.2f} ({one.min():.2f} to {one.max():.2f}) %" for one in rates)))
    return markdown_table(
        ("detector", *(f"{100 * alpha:g} % asked" for alpha in asked)), lines, "l" + "r" * len(asked)
    )


def spread(values: pd.Series) -> str:
    return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) > 1 else f"{values.iloc[0]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=ROOT / "data" / "raw", help="folder of train.npz and test.npz")
    parser.add_argument("--protocols", choices=PROTOCOLS, nargs="*", default=[], help="which; none draws the page")
    parser.add_argument(
        "--digits", nargs="+", default=[str(digit) for digit in range(10)], help="left out or normal"
    )
    parser.add_argument("--labelled", type=int, nargs="+", default=[100], help="labelled images, 100 and 1000")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of draw and training")
    parser.add_argument(
        "--recipe", default="semi_acgan", help="as in params.yaml; one digit alone is trained by it too"
    )
    parser.add_argument("--steps", type=int, default=2500, help="updates of each training")
    parser.add_argument("--labeller-steps", type=int, default=1200, help="updates of each labeller")
    options = parser.parse_args()
    budget = Budget(options.steps, options.labeller_steps)
    wanted = list(cases(options.protocols, options.digits, options.labelled, options.seeds))
    todo = [case for case in wanted if not is_done(case, settings(options.recipe, budget))]
    if todo:
        train_set, test = (load_images(options.raw / f"{name}.npz") for name in ("train", "test"))
        commit = commit_of()
        for case in todo:
            print(" ".join(map(str, case.key)), flush=True)
            run(case, train_set, test, options.recipe, budget, commit)
            write_page()
    if ROWS.exists():
        write_page()


if __name__ == "__main__":
    main()
