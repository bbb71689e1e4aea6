import numpy as np
import pytest

from semisynth.errors import SemisynthError
from semisynth.reporting.comparison import (
    ACCURACY_COLUMNS,
    CHANGE_COLUMNS,
    Outcome,
    accuracies,
    accuracy_rows,
    change_rows,
    confusion_matrix,
    confusion_rows,
    outcome_of,
)
from semisynth.reporting.statistics import mcnemar_exact, paired_bootstrap, proportion_interval

LABELS = np.arange(1000) % 4


def outcome(arm: str, classifier: str, wrong: range) -> Outcome:
    """Wrong, by one class, on the images of `wrong`, and right on the others."""
    predicted = LABELS.copy()
    predicted[wrong] = (predicted[wrong] + 1) % 4
    return Outcome(arm, classifier, predicted, LABELS)


OUTCOMES = [
    outcome("labelled", "cnn", range(200)),
    outcome("labelled", "svm", range(100)),
    outcome("synthetic", "cnn", range(150)),
    outcome("all", "svm", range(50, 160)),
]


def test_accuracy_rows_by_hand() -> None:
    rows = accuracy_rows(OUTCOMES, dataset="mnist", labelled=40, level=0.9)
    assert [tuple(row) for row in rows] == [ACCURACY_COLUMNS] * 4
    assert [row["accuracy"] for row in rows] == [0.8, 0.9, 0.85, 0.89]
    assert [row["error"] for row in rows] == [0.2, 0.1, 0.15, 0.11]
    assert {(row["dataset"], row["labelled"]) for row in rows} == {("mnist", 40)}
    low, high = proportion_interval(150, 1000, 0.9)
    assert (rows[2]["error_low"], rows[2]["error_high"]) == pytest.approx((low, high), abs=1e-6)
    assert all(row["error_low"] < row["error"] < row["error_high"] for row in rows)


def test_changes_are_against_the_same_classifier_on_the_same_images() -> None:
    rows = change_rows(OUTCOMES, resamples=500, level=0.95, seed=3)
    assert [tuple(row) for row in rows] == [CHANGE_COLUMNS] * 2
    assert [(row["arm"], row["classifier"], row["change"]) for row in rows] == [
        ("synthetic", "cnn", 0.05),
        ("all", "svm", -0.01),
    ]
    before, after = OUTCOMES[1].correct, OUTCOMES[3].correct
    low, high = paired_bootstrap(before, after, resamples=500, level=0.95, seed=3)
    assert (rows[1]["change_low"], rows[1]["change_high"]) == pytest.approx((low, high), abs=1e-6)
    assert rows[1]["mcnemar_p"] == pytest.approx(mcnemar_exact(before, after), rel=1e-3)
    assert rows[0]["mcnemar_p"] == pytest.approx(2 / 2**50, rel=1e-3)


def test_a_classifier_without_baseline_is_refused() -> None:
    with pytest.raises(SemisynthError, match=r"arm all: .*one of \['cnn'\], received svm"):
        change_rows([OUTCOMES[0], OUTCOMES[3]], resamples=100, level=0.95, seed=0)


def test_an_image_without_a_label_is_refused() -> None:
    with pytest.raises(SemisynthError, match="received -1 in row 1"):
        Outcome("labelled", "cnn", np.array([0, 1]), np.array([0, -1]))


def test_accuracies_nest_by_arm() -> None:
    assert accuracies(OUTCOMES) == {
        "labelled": {"cnn": 0.8, "svm": 0.9},
        "synthetic": {"cnn": 0.85},
        "all": {"svm": 0.89},
    }


def test_outcome_of_falls_back_to_the_arms_first() -> None:
    assert outcome_of(OUTCOMES, "labelled", "svm") is OUTCOMES[1]
    assert outcome_of(OUTCOMES, "all", "cnn") is OUTCOMES[3]


def test_confusion_by_hand() -> None:
    planted = Outcome("all", "cnn", np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    np.testing.assert_array_equal(confusion_matrix(planted, 3), [[1, 0, 0], [0, 1, 0], [0, 1, 1]])
    assert confusion_rows(planted, ["a", "b", "c"])[2] == {"actual": "c", "predicted": "b"}
    assert len(confusion_rows(planted, ["a", "b", "c"])) == 4
