"""Recipes without a discriminator, through the stages that know of recipes."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from ruamel.yaml import YAML

from semisynth.anomaly.metrics import auroc
from semisynth.data.imageset import ImageSet, load_images, save_images
from semisynth.errors import SemisynthError
from semisynth.params import RecipeName
from semisynth.scoring.model import load_detector
from semisynth.stages import augment, fit_detector, synthesize, train_synthesizer
from semisynth.synthesizers.companion import load_companion, told_classes
from semisynth.synthesizers.composition import RECIPES
from semisynth.synthesizers.families import load_sampler
from semisynth.synthesizers.patches import unigram_entropy
from semisynth.synthesizers.sampler import FAMILIES

SHIPPED = Path(__file__).parents[2] / "params.yaml"
NAMES = ("left", "right")
LABELLER = {
    "max_steps": 60,
    "max_passes": 10.0,
    "batch_size": 16,
    "learning_rate": 0.002,
    "even_classes": True,
    "confidence": 0.9,
}
SECTIONS = {
    "train_synthesizer": {"max_steps": 20, "max_passes": 10.0, "epochs": 2, "batch_size": 16}
    | {"labelled_copies": 40, "lstm": {"codes": 8, "patch": 4, "temperature": 0.5}, "vae": {"latent_size": 3}}
    | {"labeller": LABELLER},
    "synthesize": {"per_class": 6, "candidates": 1.0, "confidence": 0.0, "given_confidence": 0.0},
    "augment": {
        "classical_images": 6,
        "pseudo_per_class": 5,
        "pseudo_copies": 7,
        "pseudo_confidence": 0.5,
        "propagated_confidence": 0.5,
    },
    "fit_detector": {"images": 200, "references": 40, "generated": 10, "precision": "float32"},
}
RESULTS = Path("results")
LABELLED, UNLABELLED, VALIDATION, SYNTHETIC = (
    Path(f"{name}.npz") for name in ("labelled", "unlabelled", "validation", "synthetic")
)
MODEL, BASELINE, DETECTOR = Path("synthesizer"), Path("baseline"), Path("detector")


def bars(seed, count):
    """A bright bar on the left or on the right, of any shade: two classes."""
    random = np.random.default_rng(seed)
    images, labels = np.zeros((count, 16, 16), np.uint8), np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        image[2:14, 2 + 8 * label : 6 + 8 * label] = random.integers(150, 256)
    return ImageSet(images, labels, NAMES, "bars", pool=400)


def judged(images):
    right = images[:, :, 8:].mean(axis=(1, 2)) > images[:, :, :8].mean(axis=(1, 2))
    return np.where(np.eye(2)[right.astype(int)], 0.9, 0.1).astype(np.float32)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def folder(request, tmp_path_factory):
    """A folder in which the stages have run, with a planted baseline classifier; named after the recipe."""
    folder = tmp_path_factory.mktemp("run") / request.param
    folder.mkdir()
    best = SimpleNamespace(name="planted", predict_proba=judged)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("semisynth.scoring.model.BATCH_SIZE", 50)
        for stage in (synthesize, augment):
            patch.setattr(stage, "load_best", lambda path: best)
        tree = YAML(typ="safe", pure=True).load(SHIPPED)
        for name, section in SECTIONS.items():
            tree[name].update(section)
        tree["train_synthesizer"]["recipe"] = request.param
        YAML(typ="safe", pure=True).dump(tree, Path("params.yaml"))
        save_images(LABELLED, bars(0, 20))
        save_images(UNLABELLED, bars(1, 200).with_labels_removed())
        save_images(VALIDATION, bars(2, 100))
        train_synthesizer.train_synthesizer(LABELLED, UNLABELLED, MODEL, RESULTS / "train")
        synthesize.synthesize(MODEL, BASELINE, LABELLED, SYNTHETIC, RESULTS / "synthesize")
        inputs = (LABELLED, UNLABELLED, SYNTHETIC, MODEL, BASELINE)
        augment.augment(*inputs, Path("augmented"), RESULTS / "augment")
        fit_detector.fit_detector(MODEL, LABELLED, UNLABELLED, VALIDATION, DETECTOR, RESULTS / "fit")
    return folder


def metrics(folder, stage):
    return json.loads((folder / "results" / stage / "metrics.json").read_text())


def test_the_model_that_was_trained_is_saved_with_its_losses(folder):
    sampler, written = load_sampler(folder / "synthesizer"), metrics(folder, "train")
    assert sampler.recipe.name == written["recipe"] == folder.name
    assert (sampler.side, sampler.classes, sampler.has_classes) == (16, 2, folder.name != "vae")
    assert written["labels_learned_from"] == (40 if sampler.has_classes else 0)
    assert written["last_epoch"]["loss"] > 0
    samples = (folder / "results" / "train" / "samples").iterdir()
    assert sorted(path.name for path in samples) == ["epoch_01.png", "epoch_02.png"]
    assert (folder / "results" / "train" / "losses.png").exists()


def test_there_is_no_class_head(folder):
    sampler = load_sampler(folder / "synthesizer")
    assert not sampler.tells_classes
    shown = sampler.classes_shown(bars(0, 2).images, np.array([1, 0]))
    assert shown is None if folder.name == "vae" else shown.tolist() == [1, 0]
    with pytest.raises(ValueError, match=f"`{folder.name}` has no class head"):
        sampler.class_probabilities(bars(0, 2).images)


def test_class_names_are_kept_and_checked(folder, tmp_path):
    sampler = load_sampler(folder / "synthesizer")
    assert sampler.class_names == NAMES
    sampler.named(()).save(tmp_path / "s")
    assert load_sampler(tmp_path / "s").class_names == ()
    replace(sampler, class_names=("left",)).save(tmp_path / "s")
    with pytest.raises(SemisynthError, match=r"2 class names that differ expected, received \['left'\]"):
        load_sampler(tmp_path / "s")


def test_every_recipe_that_parameters_name_is_known():
    assert set(get_args(RecipeName)) == {*RECIPES, *FAMILIES}


def test_parameters_reach_the_model_and_likelihoods_the_report(folder):
    sampler, written = load_sampler(folder / "synthesizer"), metrics(folder, "train")["of_labelled_images"]
    if folder.name == "lstm":
        assert (sampler.temperature, sampler.codebook.patch, len(sampler.codebook.centres)) == (0.5, 4, 8)
        assert written.keys() == {"bits_per_token", "unigram_entropy"}
        assert 0 < written["bits_per_token"] < 3.2
        known = load_images(folder / "labelled.npz").images
        assert written["unigram_entropy"] == pytest.approx(unigram_entropy(sampler.codebook.tokens(known)))
    else:
        assert sampler.recipe.latent_size == 3
        assert written["evidence_bound"] < 0


def test_images_are_drawn_and_marked_by_class(folder):
    drawn, written = load_images(folder / "synthetic.npz"), metrics(folder, "synthesize")
    assert drawn.side == 16
    by_class, counts = folder.name != "vae", np.bincount(drawn.labels).tolist()
    assert counts == [6, 6] if by_class else 0 < min(counts) <= max(counts) <= 6
    assert written["labels_from"] == ("the class asked for" if by_class else "labeller beside vae")
    assert written["confidence_from"] == ("classifier planted" if by_class else "labeller beside vae")
    if not by_class:
        told = told_classes(load_companion(folder / "synthesizer"), drawn.images)
        np.testing.assert_array_equal(drawn.labels, told.argmax(axis=1))


def test_the_teacher_is_the_classifier_or_a_labeller_alone(folder):
    beside = folder.name == "vae"
    teacher = "labels that the labeller beside vae propagates" if beside else "planted"
    assert metrics(folder, "augment")["teacher"] == [teacher]
    if beside:
        arm = load_images(Path(folder) / "augmented" / "pseudo.npz")
        assert (judged(arm.images).argmax(axis=1) == arm.labels).all()


def test_detectors_that_need_no_discriminator_find_noise(folder):
    model, written = load_detector(folder / "detector"), metrics(folder, "fit")
    assert written["detectors"] == list(model.suite.names)
    absent = {"discriminator", "class_logsumexp", "confidence"}
    assert not absent & set(model.suite.names)
    assert {"ensemble", "features_mahalanobis", "features_knn", "reconstruction", "pca"} <= set(model.suite.names)
    noise = np.random.default_rng(3).integers(0, 256, (20, 16, 16), np.uint8)
    both = model.judge(np.concatenate([bars(4, 100).images, noise]))
    for name, scores in model.suite.scores(both, ["ensemble", "features_knn"]).items():
        assert auroc(np.arange(120) >= 100, scores) > 0.99, name
    with pytest.raises(SemisynthError, match="no detector `discriminator`"):
        model.suite.scores(both, ["discriminator"])
