"""Make the arms: the labelled images, and what each arm adds to them."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisynth.augmentation.arms import build_arm, provenance_counts
from semisynth.augmentation.classical import sources_of_copies, transform, transformed_copies
from semisynth.augmentation.selection import above_chance, average_probabilities, select_confident, sure_enough
from semisynth.classifiers.fitting import load_best
from semisynth.data.imageset import PSEUDO, ImageSet, load_images, save_images
from semisynth.files import replacing_folder, write_json
from semisynth.params import Augment, load_params
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.synthesizers.families import load_sampler
from semisynth.synthesizers.model import Synthesizer
from semisynth.synthesizers.transduction import load_propagated

_TAUGHT = 1  # tells the random streams of arm `all`'s copies from those of arm `classical`


def augment(
    labelled: InputPath,
    unlabelled: InputPath,
    synthetic: InputPath,
    synthesizer: InputPath,
    baseline: InputPath,
    augmented: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Make the arms: the labelled images, and what each arm adds to them."""
    section = load_params(params).augment
    known, others, drawn = load_images(labelled), load_images(unlabelled), load_images(synthetic)
    count = min(section.classical_images, known.pool)
    images, labels = transformed_copies(known.images, known.labels, count, seed=section.seed)
    classical = replace(known, images=images, labels=labels, provenance=None, confidence=None)
    teacher, probabilities, threshold = _taught(baseline, synthesizer, others, section)
    pseudo = _pseudo_labelled(
        others,
        probabilities,
        threshold=threshold,
        per_class=section.pseudo_per_class,
        seed=section.seed,
    )
    build = partial(build_arm, labelled=known, classical=classical, synthetic=drawn, pseudo=pseudo)
    copies = None
    if pseudo is not None and "all" in section.arms:
        count = min(section.pseudo_copies, known.pool)
        copies = _copies(build("pseudo", copies=None), count, section.seed)
    counts = {}
    with replacing_folder(augmented) as folder:
        for arm in section.arms:
            data = build(arm, copies=copies)
            save_images(folder / f"{arm}.npz", data)
            counts[arm] = {"images": len(data)} | provenance_counts(data)
    histogram = np.bincount(() if pseudo is None else pseudo.labels, minlength=known.classes)
    _warn_of_missing(histogram, known.class_names, threshold)
    metrics = {
        "dataset": known.dataset,
        "teacher": teacher,
        "arms": counts,
        "pseudo_labels": dict(zip(known.class_names, histogram.tolist(), strict=True)),
        "share_above_threshold": float(sure_enough(probabilities, threshold).mean()),
    }
    write_json(results / "metrics.json", metrics)


def _warn_of_missing(histogram: NDArray[np.int64], names: Sequence[str], threshold: float) -> None:
    """Warn of classes that no unlabelled image is given while others get some."""
    missing = [name for name, count in zip(names, histogram, strict=True) if not count]
    if missing and histogram.any():
        print(
            f"warning: no unlabelled image has class {', '.join(missing)} with a probability of {threshold:g} or "
            "more; arms `pseudo` and `all` hold none that was labelled so",
            file=sys.stderr,
        )


def _copies(taught: ImageSet, count: int, seed: int) -> ImageSet:
    """Transformed copies of labelled and pseudo-labelled images, with the provenance and confidence of these."""
    copies = taught.take(sources_of_copies(taught.labels, count, seed=seed, stream=_TAUGHT))
    return replace(copies, images=transform(copies.images, seed=seed, stream=_TAUGHT))


def _taught(
    baseline: Path, synthesizer: Path, others: ImageSet, section: Augment
) -> tuple[list[str], NDArray[np.float32], float]:
    """Name the members of the teacher, their mean probabilities (n, classes) of `others`, and how sure to be.

    A network that has learned from the unlabelled images, of the recipe or beside it, is the better teacher alone;
    a recipe without a discriminator is none.
    """
    model = load_sampler(synthesizer)
    inside = isinstance(model, Synthesizer) and model.recipe.learns_labels
    if inside or not model.has_classes:
        who = model.recipe.name if inside else f"the labeller beside {model.recipe.name}"
        threshold = above_chance(section.propagated_confidence, others.classes)
        return [f"labels that {who} propagates"], load_propagated(synthesizer, others), threshold
    classifier = load_best(baseline)
    beliefs = {classifier.name: classifier.predict_proba(others.images)}
    if model.tells_classes:
        beliefs[f"class head of {model.recipe.name}"] = model.class_probabilities(others.images)
    return list(beliefs), average_probabilities(list(beliefs.values())), section.pseudo_confidence


def _pseudo_labelled(
    others: ImageSet, probabilities: NDArray[np.float32], *, threshold: float, per_class: int, seed: int
) -> ImageSet | None:
    """Label a random choice of the images that the teacher is sure enough of; None where there are none."""
    chosen, labels, confidence = select_confident(
        probabilities, threshold=threshold, per_class=per_class, seed=seed
    )
    if not len(chosen):
        return None
    provenance = np.full(len(chosen), PSEUDO, np.uint8)
    return replace(others.take(chosen), labels=labels, provenance=provenance, confidence=confidence)


if __name__ == "__main__":
    run_stage(augment)
