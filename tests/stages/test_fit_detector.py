import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from semisynth.data.imageset import ImageSet, save_images
from semisynth.errors import SemisynthError
from semisynth.scoring.model import digest_of, load_detector
from semisynth.stages.fit_detector import fit_detector
from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.model import build_synthesizer

PARAMS = Path(__file__).parents[2] / "params.yaml"
SECTION = {
    "images": 150,
    "references": 40,
    "generated": 10,
    "autoencoder": None,
    "precision": "float32",
    "seed": 0,
}
INPUTS = ("labelled", "unlabelled", "validation")


def blobs(seed, count, side=20):
    """Bright squares of two sizes, two classes."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, side, side), np.uint8)
    labels = np.arange(count) % 2
    for image, label, shade in zip(images, labels, random.integers(150, 256, count), strict=True):
        edge = 4 + 2 * label
        image[edge:-edge, edge:-edge] = shade
    return ImageSet(images, labels, ("large", "small"), "blobs", pool=count)


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "synthesizer"
    build_synthesizer(recipe_by_name("acgan"), 20, 2).save(folder)
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, synthesizer):
    """Runs the stage in an empty folder and returns its metrics."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("semisynth.scoring.model.BATCH_SIZE", 50)

    def run_on(sets=None, detector="detector", **changed):
        tree = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
        tree["fit_detector"] = SECTION | changed
        with Path("params.yaml").open("w", encoding="utf-8") as stream:
            YAML().dump(tree, stream)
        drawn = {"labelled": blobs(0, 20), "unlabelled": blobs(1, 200), "validation": blobs(2, 120)} | (sets or {})
        for name in INPUTS:
            save_images(Path(f"{name}.npz"), drawn[name])
        paths = [Path(f"{name}.npz") for name in INPUTS]
        fit_detector(synthesizer, *paths, detector=Path(detector), results=Path("results"))
        return json.loads(Path("results/metrics.json").read_text(encoding="utf-8"))

    return run_on


def test_the_detector_is_calibrated_on_validation_images(run):
    metrics = run()
    loaded = load_detector(Path("detector"))
    assert (metrics["images"], metrics["calibration_images"]) == (150, 120)
    assert metrics["least_alpha"] == pytest.approx(1 / 121)
    assert metrics["detectors"] == list(loaded.suite.names)
    assert {len(scores) for scores in loaded.suite.calibration.values()} == {120}
    assert {name.split("#")[0] for name in loaded.references.ids} <= {"labelled.npz", "unlabelled.npz"}
    assert loaded.class_names == ("large", "small")


def test_an_autoencoder_is_one_more_detector_where_it_is_asked_for(run):
    plain = run()["detectors"]
    more = run(autoencoder="linear", detector="other")["detectors"]
    assert "autoencoder" not in plain
    assert [name for name in more if name != "autoencoder"] == plain
    first, second = (load_detector(Path(name)).suite.calibration["ensemble"] for name in ("detector", "other"))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(SemisynthError, match=r"`fit_detector\.autoencoder`.*received 'sparse'"):
        run(autoencoder="sparse")


def test_labels_change_nothing(run):
    run()
    wrong = {
        "labelled": replace(blobs(0, 20), labels=np.arange(20) // 10),
        "unlabelled": replace(blobs(1, 200), labels=np.full(200, -1)),
        "validation": replace(blobs(2, 120), labels=np.zeros(120, np.int64)),
    }
    run(wrong, detector="other")
    assert digest_of(Path("detector")) == digest_of(Path("other"))


def test_images_of_another_side_are_refused(run):
    with pytest.raises(
        SemisynthError, match=r"validation\.npz: expected side 20 as in .*synthesizer, received 24"
    ):
        run({"validation": blobs(2, 40, side=24)})
    assert not Path("detector").exists()
