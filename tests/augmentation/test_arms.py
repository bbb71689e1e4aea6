from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from semisynth.augmentation.arms import build_arm, parts_of_arm, provenance_counts
from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.params import ArmName


def plain(count, value, **fields):
    images = np.full((count, 16, 16), value, np.uint8)
    return ImageSet(images, np.arange(count) % 2, ("even", "odd"), "planted", 1000, **fields)


@pytest.fixture
def parts():
    return {
        "labelled": plain(2, 1),
        "classical": plain(3, 2),
        "synthetic": plain(4, 3, provenance=np.full(4, 1, np.uint8), confidence=np.full(4, 0.5, np.float32)),
        "pseudo": plain(5, 4, provenance=np.full(5, 2, np.uint8), confidence=np.full(5, 0.75, np.float32)),
        "copies": plain(3, 5, provenance=np.array([0, 2, 2], np.uint8), confidence=np.float32([1, 0.75, 0.75])),
    }


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("classical", [1] * 2 + [2] * 3),
        ("synthetic", [1] * 2 + [3] * 4),
        ("pseudo", [1] * 2 + [4] * 5),
        ("synthetic+classical", [1] * 2 + [2] * 3 + [3] * 4),
    ],
)
def test_every_arm_holds_exactly_its_images(name, pixels, parts):
    arm = build_arm(name, **parts)
    assert arm.images[:, 0, 0].tolist() == pixels
    assert arm.provenance.tolist() == [[0, 0, 0, 1, 2][pixel] for pixel in pixels]
    assert arm.confidence.tolist() == [[0, 1, 1, 0.5, 0.75][pixel] for pixel in pixels]
    assert arm.labels.tolist() == [n % 2 for pixel in sorted(set(pixels)) for n in range(pixel + 1)]
    assert (arm.dataset, arm.pool, arm.class_names) == ("planted", 1000, ("even", "odd"))


def test_the_arm_all_holds_copies_too_with_what_they_bring(parts):
    arm = build_arm("all", **parts)
    assert arm.images[:, 0, 0].tolist() == [1] * 2 + [2] * 3 + [3] * 4 + [4] * 5 + [5] * 3
    assert arm.provenance.tolist() == [0] * 5 + [1] * 4 + [2] * 5 + [0, 2, 2]
    assert arm.confidence.tolist() == [1] * 5 + [0.5] * 4 + [0.75] * 5 + [1, 0.75, 0.75]


def test_the_parameters_know_the_same_arms():
    assert set(get_args(ArmName)) == set(parts_of_arm)


def test_provenance_counts(parts):
    assert provenance_counts(build_arm("all", **parts)) == {"labelled": 6, "synthetic": 4, "pseudo": 7}
    assert provenance_counts(parts["labelled"]) == {"labelled": 2}


def test_an_unknown_arm_is_refused(parts):
    with pytest.raises(SemisynthError, match="arm `both` is unknown, expected one of classical, synthetic"):
        build_arm("both", **parts)


def test_without_pseudo_labels_only_the_arms_that_need_them_are_refused(parts):
    without = parts | {"pseudo": None, "copies": None}
    assert len(build_arm("synthetic+classical", **without)) == 9
    with pytest.raises(
        SemisynthError, match=r"arm `all`: .*pseudo_confidence` or `augment\.propagated_confidence`"
    ):
        build_arm("all", **without)


def test_images_of_other_classes_are_refused(parts):
    parts["synthetic"] = replace(parts["synthetic"], class_names=("zero", "one"), source="synthetic.npz")
    with pytest.raises(SemisynthError, match=r"synthetic\.npz: side and classes .* expected, received .*'zero'"):
        build_arm("synthetic", **parts)
