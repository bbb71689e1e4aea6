import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ruamel.yaml import YAML

from semisynth.augmentation.classical import transformed_copies
from semisynth.data.imageset import ImageSet, load_images, save_images
from semisynth.errors import SemisynthError
from semisynth.stages import train_synthesizer as stage
from semisynth.synthesizers.companion import load_companion, told_classes
from semisynth.synthesizers.judging import described
from semisynth.synthesizers.model import Synthesizer, load_synthesizer
from semisynth.synthesizers.transduction import load_propagated

SHIPPED = Path(__file__).parents[2] / "params.yaml"
SIDE = 20
LABELLER = {
    "max_steps": 12,
    "max_passes": 1.0,
    "batch_size": 4,
    "learning_rate": 0.002,
    "even_classes": True,
    "confidence": 0.0,
}
SECTION = {"recipe": "acgan", "max_steps": 4, "epochs": 2, "batch_size": 4, "labelled_copies": 20}
SECTION["labeller"] = LABELLER


def noise(seed, count):
    images = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE), np.uint8)
    return ImageSet(images, np.arange(count) % 3, ("a", "b", "c"), "noise", pool=500)


def run(folder, labelled=None, **changes):
    """Run the stage in `folder` on 6 labelled images, or those given, and 10 others; return its metrics."""
    save_images(folder / "labelled.npz", labelled or noise(0, 6))
    save_images(folder / "unlabelled.npz", noise(1, 10).with_labels_removed())
    tree = YAML(typ="safe", pure=True).load(SHIPPED)
    tree["train_synthesizer"].update(SECTION | changes)
    YAML(typ="safe", pure=True).dump(tree, folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stage.train_synthesizer(
            *map(Path, ("labelled.npz", "unlabelled.npz", "models/synthesizer", "results")),
        )
    return json.loads((folder / "results" / "metrics.json").read_text())


def written(folder):
    paths = [path for part in ("models", "results") for path in (folder / part).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, run(folder)


def test_a_synthesizer_with_its_losses_and_a_grid_an_epoch(trained):
    folder, metrics = trained
    assert set(written(folder)) == {
        *(f"models/synthesizer/{name}" for name in ("bundle.json", "discriminator.npz", "generator.npz")),
        *(f"results/{name}" for name in ("losses.csv", "losses.png", "metrics.json")),
        *(f"results/samples/epoch_{number:02d}.png" for number in (1, 2)),
    }
    synthesizer = load_synthesizer(folder / "models" / "synthesizer")
    assert (synthesizer.recipe.name, synthesizer.side, synthesizer.classes) == ("acgan", SIDE, 3)
    assert (metrics["dataset"], metrics["recipe"], metrics["steps"]) == ("noise", "acgan", 4)
    assert metrics["diversity"].keys() == {"features", "classes"}
    with (folder / "results" / "losses.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row.pop("epoch") for row in rows] == ["1", "2"]
    assert {name: float(value) for name, value in rows[-1].items()} == metrics["last_epoch"]


def test_the_grids_follow_the_training(trained):
    folder, _ = trained
    first, last = ((folder / "results" / "samples" / f"epoch_0{number}.png").read_bytes() for number in (1, 2))
    assert first.startswith(b"\x89PNG")
    assert first != last


def test_samples_that_look_alike_raise_the_alarm(tmp_path, monkeypatch, capsys):
    def blank(self, labels, *, seed):
        return np.zeros((len(labels), SIDE, SIDE), np.uint8)

    monkeypatch.setattr(Synthesizer, "sample", blank)
    metrics = run(tmp_path, recipe="vanilla_gan")
    assert (metrics["diversity"], metrics["mode_collapse"]) == ({"features": 0, "classes": 0}, True)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert line.startswith("warning: epoch 2 of vanilla_gan: mode collapse? Samples differ")


def test_no_state_is_left_behind(trained):
    folder, _ = trained
    assert not list((folder / ".semisynth" / "resume" / "train_synthesizer").iterdir())


def test_same_seed_same_bytes(trained, tmp_path):
    folder, _ = trained
    run(tmp_path)
    assert written(tmp_path) == written(folder)


@pytest.fixture
def given(monkeypatch):
    """What the stage hands to the training, which stops there."""
    received = SimpleNamespace()

    def stop(recipe, real, labelled, labeller, **options):
        received.__dict__.update(recipe=recipe.name, real=real, labelled=labelled, labeller=labeller, **options)
        raise SemisynthError("stopped")

    monkeypatch.setattr(stage, "train_any", stop)
    return received


def test_all_images_are_real_and_the_labelled_ones_get_copies(given, tmp_path):
    with pytest.raises(SemisynthError, match="stopped"):
        run(tmp_path, seed=7)
    known, others = noise(0, 6), noise(1, 10)
    np.testing.assert_array_equal(given.real, np.concatenate([known.images, others.images]))
    np.testing.assert_array_equal(given.labelled.images[:6], known.images)
    assert len(given.labelled) == 20
    assert set(given.labelled.labels.tolist()) == {0, 1, 2}
    assert (given.seed, given.steps, given.epochs, given.batch_size) == (7, 4, 2, 4)
    assert not (tmp_path / "models").exists()


def test_copies_that_a_recipe_learns_from_are_not_those_of_an_arm(given, tmp_path):
    with pytest.raises(SemisynthError, match="stopped"):
        run(tmp_path, seed=7)
    known = noise(0, 6)
    arms, _ = transformed_copies(known.images, known.labels, 14, seed=7)
    learned = {image.tobytes() for image in given.labelled.images[6:]}
    assert len(learned) == 14
    assert learned.isdisjoint(image.tobytes() for image in arms)


@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_batch_has_the_recipes_own_size_where_none_is_given(given, tmp_path, batch_size):
    with pytest.raises(SemisynthError, match="stopped"):
        run(tmp_path, recipe="dense_cgan", batch_size=batch_size)
    assert given.batch_size == (batch_size or 128)


def test_enough_labelled_images_get_no_copies(given, tmp_path):
    with pytest.raises(SemisynthError, match="stopped"):
        run(tmp_path, labelled_copies=6)
    np.testing.assert_array_equal(given.labelled.images, noise(0, 6).images)


@pytest.mark.parametrize(
    ("changes", "steps", "epochs"),
    [({"max_steps": 7, "epochs": 3}, 9, 3), ({"max_steps": 2, "epochs": 8}, 2, 2), ({"max_passes": 0.1}, 14, 2)],
)
def test_the_budget_is_cut_into_epochs_of_equal_length(given, tmp_path, changes, steps, epochs):
    with pytest.raises(SemisynthError, match="stopped"):
        run(tmp_path, **{"max_steps": 1000} | changes)
    assert (given.steps, given.epochs) == (steps, epochs)


def test_an_unknown_recipe_is_refused_before_any_work(tmp_path):
    with pytest.raises(SemisynthError, match=r"`train_synthesizer\.recipe`.*acgann"):
        run(tmp_path, recipe="acgann")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled.npz", "params.yaml", "unlabelled.npz"]


def test_a_class_without_images_is_refused_where_classes_are_learnt(tmp_path):
    lacking = noise(0, 6).take(np.array([0, 3]))
    for recipe in ("acgan", "cvae"):
        with pytest.raises(SemisynthError, match=f"`{recipe}` learns classes: .* received none of b, c"):
            run(tmp_path, lacking, recipe=recipe)
    assert written(tmp_path) == {}
    run(tmp_path, lacking, recipe="vanilla_gan")


@pytest.fixture
def watched(monkeypatch):
    """What each recipe was given to learn from and, of the labellers that were trained, what training returned."""
    received, trained = [], []
    train, train_labeller = stage.train_any, stage.train_labeller

    def watch(recipe, real, labelled, labeller, **options):
        received.append((labelled, labeller))
        return train(recipe, real, labelled, labeller, **options)

    def keep(*arguments, **options):
        trained.append(train_labeller(*arguments, **options))
        return trained[-1]

    monkeypatch.setattr(stage, "train_any", watch)
    monkeypatch.setattr(stage, "train_labeller", keep)
    return SimpleNamespace(received=received, trained=trained)


def test_the_labeller_labels_what_the_generator_learns_from(tmp_path, watched):
    metrics = run(tmp_path, recipe="semi_acgan")
    ((labelled, labeller),), ((_, _, found, _),) = watched.received, watched.trained
    assert len(labelled) == metrics["labels_learned_from"] == 16
    np.testing.assert_array_equal(labelled.labels[:6], noise(0, 6).labels)
    assert set(labelled.labels[6:].tolist()) <= {0, 1, 2}
    saved = load_synthesizer(tmp_path / "models" / "synthesizer").discriminator.get_layer("labeller")
    for ours, theirs in zip(labeller.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert metrics["labeller"]["propagated_loss"] > 0
    first, *_, last = (tmp_path / "results" / "labeller.csv").read_text().splitlines()[1:]
    assert (first.count(",,"), last.count(",,")) == (1, 0)  # nothing but the contrast is learned at first
    check_found(tmp_path, found)


@pytest.mark.parametrize("even", [True, False])
def test_the_labeller_is_told_whether_classes_are_even(tmp_path, monkeypatch, even):
    def told(*arguments, even_classes, **options):
        raise SemisynthError(f"even: {even_classes}")

    monkeypatch.setattr(stage, "train_labeller", told)
    with pytest.raises(SemisynthError, match=f"even: {even}"):
        run(tmp_path, recipe="semi_acgan", labeller=LABELLER | {"even_classes": even})


@pytest.mark.parametrize(
    ("counts", "warning"),
    [
        ([[90, 31, 30]], ""),
        ([[90, 31, 29]], "90 unlabelled images are taken for `a`, 29 for `c`"),
        ([[40, 31, 30], [31, 90, 2]], "90 unlabelled images are taken for `b`, 2 for `c`"),
        ([[3, 2, 0]], ""),
    ],
)
def test_classes_that_are_found_unevenly_are_warned_of(capsys, counts, warning):
    stage._warn_of_uneven([np.array(one) for one in counts], ("a", "b", "c"))
    told = capsys.readouterr().err
    assert warning in told
    assert ("`train_synthesizer.labeller.even_classes: false`" in told) == bool(warning)


@pytest.mark.parametrize("even", [True, False])
def test_classes_that_are_not_taken_for_even_may_be_uneven(given, tmp_path, monkeypatch, capsys, even):
    monkeypatch.setattr(stage, "UNEVEN", 0)  # every count is far from even then
    with pytest.raises(SemisynthError, match="stopped"):
        run(tmp_path, recipe="semi_acgan", labeller=LABELLER | {"even_classes": even})
    assert ("even_classes: false" in capsys.readouterr().err) == even


def test_labels_below_the_confidence_are_left_out(given, tmp_path):
    with pytest.raises(SemisynthError, match="stopped"):
        run(tmp_path, recipe="semi_acgan", labeller=LABELLER | {"confidence": 1.0})
    assert len(given.labelled) == 6


def check_found(folder, found):
    """What the labeller found of the unlabelled images lies beside the synthesizer."""
    others = load_images(folder / "unlabelled.npz")
    np.testing.assert_array_equal(load_propagated(folder / "models" / "synthesizer", others), found)


def test_a_recipe_without_classes_is_given_a_labeller_that_it_does_not_learn_from(tmp_path, watched):
    metrics = run(tmp_path, recipe="vanilla_gan")
    ((labelled, given),), ((network, _, found, _),) = watched.received, watched.trained
    assert given is None
    assert len(labelled) == 20  # labelled images and copies of them
    assert metrics["labels_learned_from"] == 0
    assert metrics["labeller"]["propagated_loss"] > 0
    beside = load_companion(tmp_path / "models" / "synthesizer")
    for ours, theirs in zip(network.get_weights(), beside.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    check_found(tmp_path, found)
    told = told_classes(beside, noise(2, 5).images)
    assert told.shape == (5, 3)
    np.testing.assert_allclose(told.sum(axis=1), 1, atol=1e-5)
    (tmp_path / "models" / "synthesizer" / "labeller" / "labeller.npz").write_bytes(b"damaged")
    with pytest.raises(SemisynthError, match="damaged"):
        load_companion(tmp_path / "models" / "synthesizer")


def test_a_recipe_that_draws_classes_comes_without_a_labeller(trained):
    folder, _ = trained
    with pytest.raises(SemisynthError, match=r"labeller/bundle\.json: no such file"):
        load_companion(folder / "models" / "synthesizer")


@pytest.mark.parametrize(
    ("recipe", "has"), [("semi_acgan", True), ("sgan", True), ("vae", True), ("acgan", False), ("cvae", False)]
)
def test_a_labeller_is_trained_where_it_is_a_part_or_no_classes_are_drawn(recipe, has):
    assert stage._has_labeller(described(recipe)) == has


def test_a_labeller_needs_labels(tmp_path):
    with pytest.raises(SemisynthError, match="expected labels, received images without"):
        run(tmp_path, noise(0, 6).with_labels_removed(), recipe="vanilla_gan")
    assert written(tmp_path) == {}
