import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ruamel.yaml import YAML

from semisynth.data.imageset import SYNTHETIC, ImageSet, load_images, save_images
from semisynth.errors import SemisynthError
from semisynth.networks.labeller import labeller
from semisynth.stages import synthesize as stage
from semisynth.synthesizers.companion import save_companion
from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.model import build_synthesizer
from semisynth.training.determinism import seed_everything

SHIPPED = Path(__file__).parents[2] / "params.yaml"
SIDE = 20
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module", params=["acgan", "dense_cgan", "dcgan", "sgan"])
def synthesizer(request, tmp_path_factory):
    """An untrained synthesizer that draws by class, or does not: its folder, named as its recipe."""
    folder = tmp_path_factory.mktemp("models") / request.param
    seed_everything(0)
    recipe = recipe_by_name(request.param)
    build_synthesizer(recipe, SIDE, len(NAMES)).save(folder)
    if not recipe.conditional:
        save_companion(folder, labeller(SIDE, len(NAMES)), side=SIDE, classes=len(NAMES))
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the stage with a planted judge that believes in the classes in turn; returns its metrics."""
    known = ImageSet(np.zeros((6, SIDE, SIDE), np.uint8), np.arange(6) % 3, NAMES, "blank", pool=15)
    save_images(tmp_path / "labelled.npz", known)

    def run_on(synthesizer, believe=lambda count: np.arange(count) % 3, **changes):
        def probabilities(images):
            return np.where(np.eye(3)[believe(len(images))], 0.8, 0.1).astype(np.float32)

        judge = SimpleNamespace(name="planted", predict_proba=probabilities)
        monkeypatch.setattr(stage, "load_best", lambda folder: judge)
        monkeypatch.setattr(stage, "told_classes", lambda network, images: probabilities(images))
        tree = YAML(typ="safe", pure=True).load(SHIPPED)
        tree["synthesize"].update({"per_class": 4, "candidates": 1.0, "given_confidence": 0.5} | changes)
        YAML(typ="safe", pure=True).dump(tree, tmp_path / "params.yaml")
        baseline, labelled = tmp_path / "baseline", tmp_path / "labelled.npz"
        outputs = {"synthetic": tmp_path / "synthetic.npz", "results": tmp_path / "results"}
        stage.synthesize(synthesizer, baseline, labelled, **outputs, params=tmp_path / "params.yaml")
        return json.loads((tmp_path / "results" / "metrics.json").read_text())

    return run_on


def test_even_classes_marked_as_synthetic(run, synthesizer, tmp_path):
    metrics = run(synthesizer)
    drawn = load_images(tmp_path / "synthetic.npz")
    assert np.bincount(drawn.labels).tolist() == [4, 4, 4]
    assert (drawn.provenance == SYNTHETIC).all()
    assert (drawn.class_names, drawn.dataset, drawn.pool, drawn.side) == (NAMES, "blank", 15, SIDE)
    assert (metrics["dataset"], metrics["recipe"], metrics["images"]) == ("blank", synthesizer.name, 12)
    assert metrics["images_per_class"] == {"a": 4, "b": 4, "c": 4}
    assert metrics["mode_entropy"] == pytest.approx(np.log(3))
    assert metrics["mean_confidence"] == pytest.approx(drawn.confidence.mean())


def test_labels_come_from_whom_the_metrics_name(run, synthesizer, tmp_path):
    """The judge finds one of three images to be what was asked for; of its own labels it is always as sure."""
    metrics = run(synthesizer, per_class=3)
    confidence = load_images(tmp_path / "synthetic.npz").confidence
    if synthesizer.name in ("acgan", "dense_cgan"):
        assert metrics["labels_from"] == "the class asked for"
        assert confidence == pytest.approx([0.8, 0.1, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.8])
    else:
        assert metrics["labels_from"] == f"labeller beside {synthesizer.name}"
        assert confidence == pytest.approx([0.8] * 9)


def test_a_recipe_without_classes_needs_its_labeller(run, tmp_path):
    build_synthesizer(recipe_by_name("dcgan"), SIDE, len(NAMES)).save(tmp_path / "dcgan")
    with pytest.raises(SemisynthError, match=r"dcgan/labeller/bundle\.json: no such file"):
        run(tmp_path / "dcgan")
    assert not (tmp_path / "synthetic.npz").exists()


def test_never_more_than_there_are_training_images(run, synthesizer):
    assert run(synthesizer, per_class=1000)["images"] == 15


def test_same_seed_same_bytes_and_a_grid(run, synthesizer, tmp_path):
    names = ("synthetic.npz", "results/metrics.json", "results/synthetic.png")
    first, again, other = (
        run(synthesizer, seed=seed) and [(tmp_path / name).read_bytes() for name in names] for seed in (0, 0, 1)
    )
    assert first == again
    assert first[0] != other[0]
    assert first[2].startswith(b"\x89PNG")
    assert first[2] != other[2]


def test_a_class_of_which_nothing_is_believed_is_named(run, synthesizer, tmp_path):
    key = "confidence" if synthesizer.name in ("acgan", "dense_cgan") else "given_confidence"
    with pytest.raises(SemisynthError, match=rf"`synthesize\.{key}: 0\.6` leaves no image of class b, c; lower"):
        run(synthesizer, believe=lambda count: np.zeros(count, np.int64), **{key: 0.6})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled.npz", "params.yaml"]


def test_a_labeller_that_believes_nothing_leaves_no_class_out(run, tmp_path):
    """Its images are then drawn as in training, and kept."""
    folder = tmp_path / "semi_acgan"
    seed_everything(0)
    build_synthesizer(recipe_by_name("semi_acgan"), SIDE, len(NAMES)).save(folder)
    metrics = run(folder, widest=3.0, wide_confidence=1.0)
    drawn = load_images(tmp_path / "synthetic.npz")
    assert (metrics["images"], metrics["confidence_from"]) == (12, "labeller of semi_acgan")
    run(folder, widest=1.0)
    assert (load_images(tmp_path / "synthetic.npz").images == drawn.images).all()


def test_a_missing_synthesizer_is_named(run, tmp_path):
    with pytest.raises(SemisynthError, match=r"none/bundle\.json: no such file"):
        run(tmp_path / "none")
