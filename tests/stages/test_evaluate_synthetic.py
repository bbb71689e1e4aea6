import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from semisynth.classifiers.registry import build_classifier
from semisynth.data.imageset import UNLABELLED, ImageSet, save_images
from semisynth.errors import SemisynthError
from semisynth.params import load_params
from semisynth.quality.instrument import fit_instrument
from semisynth.stages.evaluate_synthetic import _some, evaluate_synthetic

PARAMS = Path(__file__).parents[2] / "params.yaml"
BUDGET = {"max_steps": 30, "max_passes": 100.0, "batch_size": 32, "images": 60, "seed": 0}


def bars(seed, count, collapsed=False):
    """Bright bars, at one of three places, in noise; a collapsed set repeats one image a class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 120, (count, 16, 16))
    for image, label in zip(images, labels, strict=True):
        image[:, 5 * label : 5 * label + 5] += 120
    if collapsed:
        images = images[labels]
    return ImageSet(images.astype(np.uint8), labels, ("left", "middle", "right"), "bars", pool=count)


def with_unlabelled(known):
    without = replace(bars(4, 30), labels=np.full(30, -1))
    images = np.concatenate([known.images, without.images])
    return replace(known, images=images, labels=np.concatenate([known.labels, without.labels]))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the stage in an empty folder; returns its metrics and the rows of its table."""
    monkeypatch.chdir(tmp_path)
    tree = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
    tree["evaluate_synthetic"] = BUDGET
    with Path("params.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(tree, stream)

    def run_on(synthetic, train=None, test=None):
        sets = {"synthetic": synthetic, "train": train or bars(1, 150), "test": test or bars(2, 90)}
        paths = {name: Path(f"{name}.npz") for name in sets}
        for name, path in paths.items():
            save_images(path, sets[name])
        evaluate_synthetic(**paths, results=Path("results"))
        with Path("results/per_class.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return json.loads(Path("results/metrics.json").read_text(encoding="utf-8")), rows

    return run_on


def test_good_images_come_near_the_floor_and_leave_no_state_behind(run):
    metrics, rows = run(bars(3, 60))
    assert metrics["dataset"] == "bars"
    assert metrics["images"] == 60
    assert metrics["instrument_accuracy"] > 0.9
    assert metrics["label_agreement"] > 0.9
    assert metrics["gan_train_accuracy"] > 0.8
    assert metrics["gan_train_accuracy_of_real"] > 0.8
    assert metrics["gan_train_images_of_real"] == 60
    assert metrics["frechet_distance"] < 4 * metrics["frechet_floor"]
    assert metrics["kernel_distance"] < metrics["kernel_floor"] + 3 * metrics["kernel_floor_sd"]
    for name in ("precision", "recall", "density", "coverage"):
        assert metrics[name] == pytest.approx(metrics[f"{name}_of_real"], abs=0.3), name
    assert metrics["memorisation_auroc"] == pytest.approx(0.5, abs=0.15)
    assert metrics["gan_test_accuracy"] == metrics["label_agreement"]
    for kind in ("class", "pixel"):
        assert metrics[f"{kind}_histogram_distance"]["total_variation"] < 0.1
        assert metrics[f"{kind}_histogram_floor"].keys() == metrics[f"{kind}_histogram_distance"].keys()
    assert metrics["diversity_ratio"] == pytest.approx(1, abs=0.2)
    assert metrics["mode_entropy"] > 0.95 * math.log(3)
    assert 0.7 < metrics["nearest_distance_ratio"] < 1.4
    assert sum(metrics["class_histogram"].values()) == 60
    assert [row["class"] for row in rows] == ["left", "middle", "right"]
    assert [row["images"] for row in rows] == ["20", "20", "20"]
    assert not list(Path(".semisynth/resume/evaluate_synthetic").glob("*"))


def test_nothing_is_trained_on_images_without_a_label_and_copies_of_them_are_found(run, monkeypatch):
    learnt = []

    def recorded(images, labels, **settings):
        learnt.append((images, labels))
        return fit_instrument(images, labels, **settings)

    monkeypatch.setattr("semisynth.stages.evaluate_synthetic.fit_instrument", recorded)
    known = bars(1, 150)
    train = with_unlabelled(known)
    made = replace(train.take(train.labels == UNLABELLED), labels=bars(4, 30).labels)
    metrics, _ = run(made, train=train)
    np.testing.assert_array_equal(learnt[0][0], known.images)
    np.testing.assert_array_equal(learnt[0][1], known.labels)
    assert metrics["memorised_share"] == pytest.approx(1)


def test_gan_train_is_the_accuracy_of_the_pipelines_network_on_synthetic_images_alone(run, monkeypatch):
    built, learnt = [], []

    def build(name, **arguments):
        built.append((name, arguments))
        classifier = build_classifier(name, **arguments)
        fit = classifier.fit
        classifier.fit = lambda images, labels, **more: learnt.append(images) or fit(images, labels, **more)
        return classifier

    monkeypatch.setattr("semisynth.stages.evaluate_synthetic.build_classifier", build)
    synthetic, train = replace(bars(3, 60), pool=120), bars(1, 150)
    run(synthetic, train)
    settings = load_params(Path("params.yaml")).train_baseline.cnn.model_dump()
    size = {"side": 16, "classes": 3, "pool": 120, "labelled": 60}
    assert built == [("cnn", {"settings": {"cnn": settings}, "seed": 0} | size)] * 2
    of_made, of_real = sorted(learnt, key=lambda images: not np.array_equal(images, synthetic.images))
    np.testing.assert_array_equal(of_made, synthetic.images)
    assert of_real.shape == of_made.shape
    assert {image.tobytes() for image in of_real} <= {image.tobytes() for image in train.images}


def test_collapsed_images_agree_with_their_labels_but_have_no_diversity(run):
    metrics, rows = run(bars(3, 60, collapsed=True))
    assert metrics["label_agreement"] > 0.9
    assert metrics["diversity_ratio"] < 0.01
    assert metrics["recall"] < 0.1
    assert metrics["coverage"] < metrics["coverage_of_real"] / 2
    assert max(float(row["diversity"]) for row in rows) < 0.01


def test_images_of_other_classes_or_sides_are_refused(run):
    with pytest.raises(SemisynthError, match=r"synthetic\.npz: expected side 16 and classes .* as in train\.npz"):
        run(replace(bars(3, 60), class_names=("a", "b", "c")))
    wide = replace(bars(2, 90), images=np.zeros((90, 20, 20), np.uint8))
    with pytest.raises(SemisynthError, match=r"test\.npz: expected side 16 .* received side 20"):
        run(bars(3, 60), test=wide)
    assert not Path("results").exists()


@pytest.mark.parametrize("name", ["synthetic", "test"])
def test_images_without_a_label_are_refused(run, name):
    unlabelled = bars(1, 150)
    unlabelled.labels[4] = -1
    sets = {"synthetic": bars(3, 60), name: unlabelled}
    with pytest.raises(SemisynthError, match=rf"{name}\.npz: expected a label for every image, row 4 holds -1"):
        run(**sets)


def test_some_real_images_are_always_of_two_classes_at_least():
    labels = np.repeat([0, 1], [38, 2])
    for seed in range(20):
        for count in (1, 2, 3):
            rows = _some(labels, count, seed)
            assert len(set(rows.tolist())) == len(rows) == max(count, 2)
            assert set(labels[rows]) == {0, 1}
    even = np.arange(40) % 2
    np.testing.assert_array_equal(_some(even, 30, 5), np.random.default_rng([5, 0]).permutation(40)[:30])
