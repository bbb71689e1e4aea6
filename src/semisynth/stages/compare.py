"""The table that a user came for: every classifier on every arm, measured on the test images."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from semisynth.classifiers.base import Classifier
from semisynth.classifiers.registry import load_classifier
from semisynth.data.imageset import ImageSet, load_images
from semisynth.errors import SemisynthError
from semisynth.files import write_csv, write_json, write_text
from semisynth.params import ArmName, ClassifierName, load_params
from semisynth.reporting.comparison import (
    ACCURACY_COLUMNS,
    BASELINE,
    CHANGE_COLUMNS,
    Outcome,
    accuracies,
    accuracy_rows,
    change_rows,
    confusion_matrix,
    confusion_rows,
    outcome_of,
)
from semisynth.reporting.comparison_page import comparison_page, heading, save_accuracy_bars
from semisynth.reporting.figures import save_confusion
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.training.progress import track

SHOWN = "cnn"  # the classifier whose confusions are shown

Place = tuple[str, str]  # arm, classifier


def compare(
    labelled: InputPath,
    baseline: InputPath,
    augmented: InputPath,
    validation: InputPath,
    test: InputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Hold every classifier on every arm against the baseline, on the test images: tables, intervals, figures."""
    section = load_params(params).compare
    count, tests, held_out = len(load_images(labelled)), load_images(test), load_images(validation)
    outcomes, validated = [], []
    bundles = _all_bundles(baseline, augmented)
    for (arm, name), bundle in track(bundles.items(), "classifying images", len(bundles)):
        classifier = _load(bundle, tests.classes)  # one at a time: a support vector machine may hold much
        outcomes.append(_outcome(arm, name, classifier, tests))
        validated.append(_outcome(arm, name, classifier, held_out))

    level, title = section.confidence_level, heading(tests.dataset, count, len(tests))
    rows = accuracy_rows(outcomes, dataset=tests.dataset, labelled=count, level=level)
    changes = change_rows(outcomes, resamples=section.resamples, level=level, seed=section.seed)
    write_csv(results / "accuracy.csv", ACCURACY_COLUMNS, rows)
    write_csv(results / "changes.csv", CHANGE_COLUMNS, changes)
    write_text(results / "table.md", comparison_page(title, rows, changes, level=level))
    save_accuracy_bars(results / "accuracy.png", title, rows, level=level)
    _show_confusions(outcomes, tests.class_names, f"{tests.dataset}, {count:,} labels", results)
    write_json(
        results / "metrics.json",
        {
            "dataset": tests.dataset,
            "labelled": count,
            "test": accuracies(outcomes),
            "validation": accuracies(validated),
        },
    )


def _all_bundles(baseline: Path, augmented: Path) -> dict[Place, Path]:
    """Find every classifier, arms and classifiers in the order in which the parameters know them."""
    base = _bundles(BASELINE, baseline)
    others = {
        place: bundle for arm in get_args(ArmName) for place, bundle in _bundles(arm, augmented / arm).items()
    }
    for folder, found in ((baseline, base), (augmented, others)):
        if not found:
            raise SemisynthError(
                f"{folder}: expected classifiers, found none; run the stages before (`dvc repro`)"
            )
    return base | others


def _bundles(arm: str, folder: Path) -> dict[Place, Path]:
    return {(arm, name): folder / name for name in get_args(ClassifierName) if (folder / name).is_dir()}


def _load(bundle: Path, classes: int) -> Classifier:
    classifier = load_classifier(bundle)
    if classifier.classes != classes:
        raise SemisynthError(
            f"{bundle}: expected {classes} classes as in the test set, received {classifier.classes}"
        )
    return classifier


def _outcome(arm: str, name: str, classifier: Classifier, data: ImageSet) -> Outcome:
    return Outcome(arm, name, classifier.predict_proba(data.images).argmax(axis=1), data.labels)


def _show_confusions(outcomes: Sequence[Outcome], class_names: Sequence[str], title: str, results: Path) -> None:
    """Show what one classifier confuses on the baseline and on the last arm, which no accuracy has chosen."""
    after = outcome_of(outcomes, outcomes[-1].arm, SHOWN)
    before = outcome_of(outcomes, BASELINE, after.classifier)
    columns = ("actual", "predicted")
    write_csv(results / "confusion_labelled.csv", columns, confusion_rows(before, class_names))
    write_csv(results / "confusion_augmented.csv", columns, confusion_rows(after, class_names))
    title = f"{title}: {after.classifier} on {after.arm}"
    save_confusion(results / "confusion.png", confusion_matrix(after, len(class_names)), class_names, title=title)


if __name__ == "__main__":
    run_stage(compare)
