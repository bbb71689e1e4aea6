import json
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from ruamel.yaml import YAML

from semisynth.data.imageset import LABELLED, PSEUDO, SYNTHETIC, ImageSet, load_images, save_images
from semisynth.errors import SemisynthError
from semisynth.stages import augment as stage
from semisynth.synthesizers.model import Synthesizer
from semisynth.synthesizers.transduction import save_propagated

SHIPPED = Path(__file__).parents[2] / "params.yaml"
NAMES = ("a", "b")


def numbered(count, first, **fields):
    """Images whose pixel in the middle tells their number; even ones are of class 0."""
    numbers = np.arange(first, first + count)
    images = np.zeros((count, 16, 16), np.uint8)
    images[:, 8, 8] = numbers
    return ImageSet(images, numbers % 2, NAMES, "numbered", 500, **fields)


def certainty(images):
    """A planted teacher: right about all numbers, sure of those from 150 on."""
    numbers = images[:, 8, 8].astype(int)
    probabilities = np.full((len(images), 2), 0.4, np.float32)
    probabilities[np.arange(len(images)), numbers % 2] = 0.6
    probabilities[numbers >= 150] = np.eye(2)[numbers[numbers >= 150] % 2]
    return probabilities


@pytest.fixture
def folder(tmp_path, monkeypatch):
    marks = {"provenance": np.full(8, SYNTHETIC, np.uint8), "confidence": np.full(8, 0.5, np.float32)}
    save_images(tmp_path / "labelled.npz", numbered(4, 10))
    save_images(tmp_path / "unlabelled.npz", numbered(100, 100).with_labels_removed())
    save_images(tmp_path / "synthetic.npz", numbered(8, 30, **marks))
    classifier = SimpleNamespace(name="svm", predict_proba=certainty)
    monkeypatch.setattr(stage, "load_best", lambda folder: classifier)
    use_synthesizer(monkeypatch, tells_classes=False)
    return tmp_path


def use_synthesizer(monkeypatch, *, learns_labels=False, has_classes=True, **attributes):
    recipe = SimpleNamespace(name="planted", learns_labels=learns_labels)
    model = Mock(spec=Synthesizer, recipe=recipe, has_classes=has_classes, **attributes)
    monkeypatch.setattr(stage, "load_sampler", lambda folder: model)


def run(folder, **changes):
    tree = YAML(typ="safe", pure=True).load(SHIPPED)
    tree["augment"].update({"classical_images": 6, "pseudo_per_class": 5, "pseudo_copies": 7, **changes})
    YAML(typ="safe", pure=True).dump(tree, folder / "params.yaml")
    inputs = {name: folder / f"{name}.npz" for name in ("labelled", "unlabelled", "synthetic")}
    models = {"synthesizer": folder / "synthesizer", "baseline": folder / "baseline"}
    outputs = {"augmented": folder / "augmented", "results": folder / "results"}
    stage.augment(**inputs, **models, **outputs, params=folder / "params.yaml")
    return json.loads((folder / "results" / "metrics.json").read_text())


def test_every_arm_is_counted_by_provenance(folder):
    metrics = run(folder)
    copied = int((load_images(folder / "augmented" / "all.npz").provenance[-7:] == LABELLED).sum())
    assert metrics["arms"] == {
        "classical": {"images": 10, "labelled": 10, "synthetic": 0, "pseudo": 0},
        "synthetic": {"images": 12, "labelled": 4, "synthetic": 8, "pseudo": 0},
        "pseudo": {"images": 14, "labelled": 4, "synthetic": 0, "pseudo": 10},
        "synthetic+classical": {"images": 18, "labelled": 10, "synthetic": 8, "pseudo": 0},
        "all": {"images": 35, "labelled": 10 + copied, "synthetic": 8, "pseudo": 10 + 7 - copied},
    }
    for arm, counts in metrics["arms"].items():
        assert len(load_images(folder / "augmented" / f"{arm}.npz")) == counts["images"]
    assert metrics["dataset"] == "numbered"
    assert metrics["pseudo_labels"] == {"a": 5, "b": 5}
    assert metrics["share_above_threshold"] == 0.5


def test_pseudo_labels_are_the_teachers_and_only_sure_ones_are_taken(folder):
    metrics = run(folder)
    arm = load_images(folder / "augmented" / "pseudo.npz")
    pseudo = arm.take(arm.provenance == PSEUDO)
    numbers = pseudo.images[:, 8, 8]
    assert metrics["teacher"] == ["svm"]
    assert numbers.min() >= 150
    np.testing.assert_array_equal(pseudo.labels, numbers % 2)
    assert (pseudo.confidence == 1).all()


def test_the_class_head_has_its_say(folder, monkeypatch):
    flipped = {"tells_classes": True, "class_probabilities": lambda images: certainty(images)[:, ::-1]}
    use_synthesizer(monkeypatch, **flipped)
    metrics = run(folder, arms=["classical"])
    assert metrics["teacher"] == ["svm", "class head of planted"]
    assert metrics["share_above_threshold"] == 0


def test_only_the_arms_asked_for_are_written(folder):
    run(folder, arms=["synthetic", "all"])
    run(folder, arms=["synthetic"])
    assert [path.name for path in (folder / "augmented").iterdir()] == ["synthetic.npz"]


def test_same_seed_same_bytes(folder):
    first, again, other = (
        run(folder, seed=seed) and (folder / "augmented" / "all.npz").read_bytes() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_teacher_that_is_never_sure_stops_the_arms_that_need_it(folder, monkeypatch):
    use_synthesizer(
        monkeypatch, tells_classes=True, class_probabilities=lambda images: np.full((len(images), 2), 0.5)
    )
    with pytest.raises(SemisynthError, match=r"arm `pseudo`: .*`augment\.pseudo_confidence`"):
        run(folder)
    assert not (folder / "augmented").exists()
    assert run(folder, arms=["synthetic"])["pseudo_labels"] == {"a": 0, "b": 0}


def check_taught_alone(metrics, folder, teacher):
    """All pseudo-labels are the wrong ones that were planted."""
    arm = load_images(folder / "augmented" / "pseudo.npz")
    pseudo = arm.take(np.flatnonzero(arm.provenance == PSEUDO))
    assert metrics["teacher"] == [teacher]
    assert len(pseudo)
    np.testing.assert_array_equal(pseudo.labels, 1 - pseudo.images[:, 8, 8].astype(int) % 2)


@pytest.mark.parametrize("has_classes", [True, False])
def test_propagated_labels_have_a_threshold_of_their_own(folder, monkeypatch, has_classes):
    others, sure = load_images(folder / "unlabelled.npz"), np.linspace(0.5, 1, 100)
    save_propagated(folder / "synthesizer", others, np.stack([sure, 1 - sure], axis=1).astype(np.float32))
    use_synthesizer(monkeypatch, learns_labels=has_classes, has_classes=has_classes, tells_classes=True)
    for asked, share in ((0.9, 0.2), (0.75, 0.5)):
        metrics = run(folder, pseudo_confidence=1.0, propagated_confidence=asked, pseudo_per_class=1000)
        assert metrics["share_above_threshold"] == pytest.approx(share, abs=0.01)
        assert metrics["pseudo_labels"]["a"] == round(100 * metrics["share_above_threshold"])
    metrics = run(folder, propagated_confidence=0.0, pseudo_per_class=1000)
    assert metrics["share_above_threshold"] == pytest.approx(0.5, abs=0.01)  # of two classes .75 at least


def test_a_class_without_pseudo_labels_is_warned_of(folder, monkeypatch, capsys):
    others, sure = load_images(folder / "unlabelled.npz"), np.linspace(0.5, 1, 100)
    use_synthesizer(monkeypatch, learns_labels=True, tells_classes=True)
    for second, warned in ((0.0, True), (0.9, False)):
        found = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
        found[0] = 1 - second, second
        save_propagated(folder / "synthesizer", others, found)
        run(folder)
        told = capsys.readouterr().err
        assert ("warning: no unlabelled image has class b with a probability of 0.75 or more" in told) == warned


def found_wrong_labels(folder):
    """What a labeller is taken to have found: a wrong label for each image, to tell it from other teachers."""
    others = load_images(folder / "unlabelled.npz")
    save_propagated(folder / "synthesizer", others, np.eye(2, dtype=np.float32)[1 - np.arange(100, 200) % 2])


def test_a_recipe_that_learns_labels_teaches_alone(folder, monkeypatch):
    found_wrong_labels(folder)
    use_synthesizer(monkeypatch, learns_labels=True, tells_classes=True)
    check_taught_alone(run(folder), folder, "labels that planted propagates")


def test_a_labeller_beside_a_recipe_without_classes_teaches_alone(folder, monkeypatch):
    found_wrong_labels(folder)
    use_synthesizer(monkeypatch, has_classes=False, tells_classes=True)
    check_taught_alone(run(folder), folder, "labels that the labeller beside planted propagates")


def test_copies_of_arm_all_have_maps_of_their_own(folder, monkeypatch):
    streams = {}

    def watch(name):
        real = getattr(stage, name)

        def watched(*arguments, seed, stream=0):
            streams[name] = stream
            return real(*arguments, seed=seed, stream=stream)

        monkeypatch.setattr(stage, name, watched)

    for name in ("transformed_copies", "sources_of_copies", "transform"):
        watch(name)
    run(folder)
    assert streams == {"transformed_copies": 0, "sources_of_copies": 1, "transform": 1}
