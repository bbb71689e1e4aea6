"""Draw class-balanced labelled images, with the confidence of each label."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisynth.classifiers.fitting import load_best
from semisynth.data.imageset import SYNTHETIC, ImageSet, load_images, save_images
from semisynth.errors import SemisynthError
from semisynth.files import write_json
from semisynth.params import Synthesize, load_params
from semisynth.quality.labels import class_histogram, mode_entropy
from semisynth.reporting.figures import save_grid
from semisynth.stages.runner import InputPath, OutputPath, ParamsPath, run_stage
from semisynth.synthesizers.companion import load_companion, told_classes
from semisynth.synthesizers.drawing import Drawn, Probabilities, draw_labelled, draw_wide
from semisynth.synthesizers.families import load_sampler
from semisynth.synthesizers.sampler import Sampler

GRID_COLUMNS = 15


def synthesize(
    synthesizer: InputPath,
    baseline: InputPath,
    labelled: InputPath,
    synthetic: OutputPath,
    results: OutputPath,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Draw class-balanced labelled images, with the confidence of each label."""
    section = load_params(params).synthesize
    known = load_images(labelled)
    trained = load_sampler(synthesizer)
    judge, believe = _judge(trained, synthesizer, baseline)
    per_class = min(section.per_class, max(1, known.pool // known.classes))
    images, labels, confidence = _draw(trained, believe, per_class, section)
    key = "confidence" if trained.has_classes else "given_confidence"
    _check_classes(labels, known.class_names, key, getattr(section, key))
    kept = ImageSet(
        images=images,
        labels=labels,
        class_names=known.class_names,
        dataset=known.dataset,
        pool=known.pool,
        provenance=np.full(len(labels), SYNTHETIC, np.uint8),
        confidence=confidence,
    )
    save_images(synthetic, kept)
    facts: dict[str, str | float] = {
        "dataset": known.dataset,
        "recipe": trained.recipe.name,
        "labels_from": "the class asked for" if trained.has_classes else judge,
        "confidence_from": judge,
        "mean_confidence": float(confidence.mean()),
    }
    _report(results, kept, facts, title=f"{trained.recipe.name}, {len(known)} labels")


def _draw(trained: Sampler, believe: Probabilities, per_class: int, section: Synthesize) -> Drawn:
    """Images, labels and confidence; from stretched latents where a labeller tells what went wrong."""
    if trained.recipe.learns_labels and section.widest > 1:
        stretch = {"widest": section.widest, "confidence": section.wide_confidence}
        images, labels, belief = draw_wide(trained, believe, per_class=per_class, **stretch, seed=section.seed)
        kept = belief >= section.confidence
        return images[kept], labels[kept], belief[kept]
    return draw_labelled(
        trained,
        believe,
        per_class=per_class,
        candidates=section.candidates,
        confidence=section.confidence if trained.has_classes else section.given_confidence,
        seed=section.seed,
    )


def _judge(trained: Sampler, synthesizer: Path, baseline: Path) -> tuple[str, Probabilities]:
    """Who says how sure a label is, by name: a labeller inside or beside the recipe, or the best classifier."""
    if trained.recipe.learns_labels:
        return f"labeller of {trained.recipe.name}", trained.class_probabilities
    if not trained.has_classes:
        return f"labeller beside {trained.recipe.name}", partial(told_classes, load_companion(synthesizer))
    best = load_best(baseline)
    return f"classifier {best.name}", best.predict_proba


def _check_classes(labels: NDArray[np.int64], class_names: Sequence[str], key: str, least: float) -> None:
    lacking = ", ".join(name for label, name in enumerate(class_names) if label not in labels)
    if lacking:
        raise SemisynthError(
            f"params.yaml: `synthesize.{key}: {least:g}` leaves no image of class {lacking}; "
            "lower it if it is above 0, draw more images, or train the synthesizer longer"
        )


def _report(results: Path, kept: ImageSet, facts: dict[str, str | float], *, title: str) -> None:
    histogram = class_histogram(kept.labels, kept.classes)
    measured = {
        "images": len(kept),
        "images_per_class": dict(zip(kept.class_names, histogram.tolist(), strict=True)),
        "mode_entropy": mode_entropy(histogram),
    }
    write_json(results / "metrics.json", facts | measured)
    first = [
        index for label in range(kept.classes) for index in np.flatnonzero(kept.labels == label)[:GRID_COLUMNS]
    ]
    save_grid(
        results / "synthetic.png",
        kept.images[first],
        GRID_COLUMNS,
        title=f"{kept.dataset}: synthetic images ({title})",
        row_labels=kept.class_names if histogram.min() >= GRID_COLUMNS else None,
    )


if __name__ == "__main__":
    run_stage(synthesize)
