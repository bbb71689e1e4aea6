"""The arms: which images are added to the labelled ones. A plain union, every image with its provenance."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import LABELLED, PROVENANCES, PSEUDO, SYNTHETIC, ImageSet
from semisynth.errors import SemisynthError

parts_of_arm = {
    "classical": ("classical",),
    "synthetic": ("synthetic",),
    "pseudo": ("pseudo",),
    "synthetic+classical": ("classical", "synthetic"),
    "all": ("classical", "synthetic", "pseudo", "copies"),
}
provenance_of_part = {"classical": LABELLED, "synthetic": SYNTHETIC, "pseudo": PSEUDO}


def build_arm(
    name: str,
    *,
    labelled: ImageSet,
    classical: ImageSet,
    synthetic: ImageSet,
    pseudo: ImageSet | None,
    copies: ImageSet | None,
) -> ImageSet:
    """Join the `labelled` images and those that arm `name` adds, in the order of the arguments.

    Labelled images and `classical`, transformed copies of them, have provenance 0 and confidence 1. `copies` are
    such of labelled and pseudo-labelled images, and bring what these have. Raises SemisynthError for an unknown
    arm, for sides or classes that differ, and where the arm needs `pseudo` or `copies` and they are None.
    """
    if name not in parts_of_arm:
        raise SemisynthError(f"arm `{name}` is unknown, expected one of {', '.join(parts_of_arm)}")
    given = {"classical": classical, "synthetic": synthetic, "pseudo": pseudo, "copies": copies}
    marked = [_marked(labelled, LABELLED)]
    for part in parts_of_arm[name]:
        images = given[part]
        if images is None:
            raise SemisynthError(
                f"arm `{name}`: no label is as sure as `augment.pseudo_confidence` or "
                "`augment.propagated_confidence` asks, lower it or drop the arm"
            )
        _check_alike(images, labelled)
        marked.append(_marked(images, provenance_of_part[part]) if part in provenance_of_part else images)
    return _union(marked)


def provenance_counts(data: ImageSet) -> dict[str, int]:
    """Count the images of each provenance; all of them are labelled ones where `data` records none."""
    if data.provenance is None:
        return {PROVENANCES[LABELLED]: len(data)}
    counts = np.bincount(data.provenance, minlength=len(PROVENANCES))
    return dict(zip(PROVENANCES, counts.tolist(), strict=True))


def _marked(data: ImageSet, provenance: int) -> ImageSet:
    """Give `data` this provenance, and confidence 1 unless its labels were given by a model."""
    sure = provenance == LABELLED or data.confidence is None
    confidence = np.ones(len(data), np.float32) if sure else data.confidence
    return replace(data, provenance=np.full(len(data), provenance, np.uint8), confidence=confidence)


def _check_alike(data: ImageSet, labelled: ImageSet) -> None:
    expected, received = (labelled.side, labelled.class_names), (data.side, data.class_names)
    if received != expected:
        raise SemisynthError(
            f"{data.source}: side and classes {expected} of {labelled.source} expected, received {received}"
        )


def _union(sets: list[ImageSet]) -> ImageSet:
    def joined(field: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, field) for part in sets])

    return replace(
        sets[0],
        images=joined("images"),
        labels=joined("labels"),
        provenance=joined("provenance"),
        confidence=joined("confidence"),
    )
