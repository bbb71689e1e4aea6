"""From predictions to numbers: accuracies, changes against the baseline, confusions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.reporting.statistics import mcnemar_exact, paired_bootstrap, proportion_interval

BASELINE = "labelled"  # the arm that all others are held against
DIGITS = 6  # of the bounds of intervals, in fractions of 1
ACCURACY_COLUMNS = ("dataset", "labelled", "arm", "classifier", "accuracy", "error", "error_low", "error_high")
CHANGE_COLUMNS = ("arm", "classifier", "change", "change_low", "change_high", "mcnemar_p")


@dataclass(frozen=True)
class Outcome:
    """What one classifier, trained on one arm, says of a set of images: predicted and true labels, int64 (n,)."""

    arm: str
    classifier: str
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Raise SemisynthError where a true label is missing: the image would count as an error."""
        if (self.labels < 0).any():
            row = int(np.flatnonzero(self.labels < 0)[0])
            raise SemisynthError(
                f"accuracy needs a label for every image, received {self.labels[row]} in row {row}"
            )

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which images were classified correctly, bool (n,)."""
        return np.equal(self.predicted, self.labels, dtype=np.bool_)

    @property
    def accuracy(self) -> float:
        """Share of images that were classified correctly."""
        return int(self.correct.sum()) / len(self.labels)


def accuracy_rows(
    outcomes: Sequence[Outcome], *, dataset: str, labelled: int, level: float
) -> list[dict[str, Any]]:
    """Give a row of ACCURACY_COLUMNS per outcome, fractions of 1, with Wilson's interval of the error.

    `labelled` is the number of labelled images that training was allowed; `level` the coverage, as 0.95.
    """
    rows = []
    for outcome in outcomes:
        n = len(outcome.labels)
        errors = n - int(outcome.correct.sum())
        low, high = proportion_interval(errors, n, level)
        numbers = (outcome.accuracy, errors / n, round(low, DIGITS), round(high, DIGITS))
        row = (dataset, labelled, outcome.arm, outcome.classifier, *numbers)
        rows.append(dict(zip(ACCURACY_COLUMNS, row, strict=True)))
    return rows


def change_rows(outcomes: Sequence[Outcome], *, resamples: int, level: float, seed: int) -> list[dict[str, Any]]:
    """Give a row of CHANGE_COLUMNS per outcome off the baseline: accuracy against the same classifier on BASELINE.

    The interval is the paired bootstrap's, the p McNemar's. All outcomes are of the same images; one whose
    classifier has no baseline raises SemisynthError.
    """
    before = {outcome.classifier: outcome.correct for outcome in outcomes if outcome.arm == BASELINE}
    rows = []
    for outcome in outcomes:
        if outcome.arm == BASELINE:
            continue
        if outcome.classifier not in before:
            raise SemisynthError(
                f"arm {outcome.arm}: expected a classifier with a baseline, one of {sorted(before)}, "
                f"received {outcome.classifier}"
            )
        base, correct = before[outcome.classifier], outcome.correct
        change = (int(correct.sum()) - int(base.sum())) / len(correct)
        low, high = paired_bootstrap(base, correct, resamples=resamples, level=level, seed=seed)
        p = float(f"{mcnemar_exact(base, correct):.4g}")
        row = (outcome.arm, outcome.classifier, change, round(low, DIGITS), round(high, DIGITS), p)
        rows.append(dict(zip(CHANGE_COLUMNS, row, strict=True)))
    return rows


def accuracies(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Give the accuracies as {arm: {classifier: fraction of 1}}."""
    nested: dict[str, dict[str, float]] = {}
    for outcome in outcomes:
        nested.setdefault(outcome.arm, {})[outcome.classifier] = outcome.accuracy
    return nested


def outcome_of(outcomes: Sequence[Outcome], arm: str, classifier: str) -> Outcome:
    """Give the outcome of `classifier` on `arm`; where it was not trained there, the arm's first one."""
    candidates = [outcome for outcome in outcomes if outcome.arm == arm]
    return next((outcome for outcome in candidates if outcome.classifier == classifier), candidates[0])


def confusion_matrix(outcome: Outcome, classes: int) -> NDArray[np.int64]:
    """Count images int64 (classes, classes): rows actual, columns predicted."""
    cells = np.bincount(outcome.labels * classes + outcome.predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def confusion_rows(outcome: Outcome, class_names: Sequence[str]) -> list[dict[str, str]]:
    """Give a row per image, `actual` and `predicted` class by name, as DVC's confusion template reads them."""
    return [
        {"actual": class_names[actual], "predicted": class_names[predicted]}
        for actual, predicted in zip(outcome.labels, outcome.predicted, strict=True)
    ]
