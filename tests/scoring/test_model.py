from dataclasses import replace

import numpy as np
import pytest

from semisynth.anomaly.metrics import auroc
from semisynth.anomaly.suite import Suite, from_arrays
from semisynth.errors import SemisynthError
from semisynth.scoring.fitting import fit_detector_model
from semisynth.scoring.model import KIND, PREPROCESSING, DetectorModel, References, digest_of, load_detector
from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.judging import discriminator_of
from semisynth.synthesizers.model import build_synthesizer
from semisynth.training.bundle import save_bundle
from semisynth.training.precision import dtype_policy

BATCH = 100


def test_a_loaded_detector_scores_the_same(model, folder, rings):
    loaded = load_detector(folder)
    images = rings(5, 30)
    assert (loaded.class_names, loaded.side, loaded.precision) == (("ring", "disc"), 20, "float32")
    expected = model.suite.scores(model.judge(images), model.suite.names)
    for name, scores in loaded.suite.scores(loaded.judge(images), loaded.suite.names).items():
        np.testing.assert_array_equal(scores, expected[name], err_msg=name)


def test_the_ensemble_finds_noise_among_rings(model, rings, noise):
    scores = model.suite.scores(model.judge(np.concatenate([rings(6, 200), noise(7, 40)])), ["ensemble"])
    assert auroc(np.arange(240) >= 200, scores["ensemble"]) > 0.99


def test_batches_are_padded_and_their_outputs_are_in_order(model, rings):
    images = rings(8, BATCH + 3)
    whole, last = model.judge(images), model.judge(images[-3:])
    assert len(whole.features) == BATCH + 3
    np.testing.assert_allclose(whole.features[-3:], last.features, rtol=1e-5, atol=1e-6)
    assert len(model.judge(images[:0]).realness) == 0


def test_without_realness_the_other_outputs_are_the_same(rings):
    network = recipe_by_name("semi_acgan").discriminator(20, 2, dtype_policy("float32"))
    nothing = References(rings(0, 0), np.array([], str))
    model = DetectorModel("semi_acgan", network, 20, ("ring", "disc"), "float32", Suite({}, {}, {}, {}), nothing)
    whole, part = model.judge(rings(8, 30)), model.judge(rings(8, 30), realness=False)
    assert whole.realness is not None
    assert part.realness is None
    np.testing.assert_allclose(part.features, whole.features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(part.classes, whole.classes, rtol=1e-5, atol=1e-6)


def test_references_are_training_images_with_their_ids(model, rings):
    train = rings(0, 400)
    rows = [int(name.removeprefix("train#")) for name in model.references.ids]
    assert len(set(rows)) == 60
    np.testing.assert_array_equal(model.references.images, train[rows])
    some = model.references.images[:5]
    assert model.nearest_ids(model.judge(some)).tolist() == model.references.ids[:5].tolist()


def test_restored_images_are_near_normal_ones_and_far_from_noise(model, rings, noise):
    def error(images):
        return np.abs(model.restored(model.judge(images)).astype(int) - images).mean()

    assert error(rings(9, 20)) < 15 < error(noise(9, 20))


def test_equal_seeds_give_equal_bundles(folder, fit, tmp_path):
    fit().save(tmp_path / "again")
    assert digest_of(tmp_path / "again") == digest_of(folder)


def test_a_recipe_without_classes_gives_a_detector_without_them(rings):
    synthesizer = build_synthesizer(recipe_by_name("dcgan"), 20, 2)
    names = ("ring", "disc")
    made = fit_detector_model(
        synthesizer, rings(0, 60), ["a"] * 60, rings(1, 40), names, generated=0, references=20, seed=0
    )
    assert not {"class_logsumexp", "confidence"} & set(made.suite.names)
    assert made.judge(rings(2, 3)).class_count == 0


@pytest.mark.parametrize("name", ["discriminator.npz", "detectors.npz", "references.npz"])
def test_a_damaged_bundle_is_refused(name, model, tmp_path):
    model.save(tmp_path / "d")
    with (tmp_path / "d" / name).open("r+b") as stream:
        stream.seek(200)
        stream.write(b"\xff\x00\xff")
    with pytest.raises(SemisynthError, match=rf"{name}: damaged"):
        load_detector(tmp_path / "d")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocessing": {"images": "colour"}}, "d: preprocessing {.*} expected, received {'images': 'colour'}"),
        ({"recipe": "acgann"}, r"d: made by a recipe that this version does not know: .*`acgann`"),
        (
            {"recipe": {"base": "dcgan", "loss": ["wasserstein"]}},
            r"d: .*recipe\.loss`: expected a name, received \[",
        ),
        ({"side": 100_000}, "setting `side` must lie in 4 to 256, received 100000"),
        ({"precision": "float16"}, "d: precision float32 or bfloat16 expected"),
    ],
)
def test_a_bundle_of_foreign_settings_is_refused_by_its_folder(changes, message, tmp_path):
    settings = {"recipe": "acgan", "side": 20, "class_names": ["a", "b"], "precision": "float32"}
    settings |= {"preprocessing": PREPROCESSING} | changes
    save_bundle(tmp_path / "d", KIND, settings, lambda inside: None)
    with pytest.raises(SemisynthError, match=message):
        load_detector(tmp_path / "d")


def with_detectors(model, **changes):
    """The model with other arrays than its detectors learnt."""
    suite = from_arrays(model.suite.arrays(), model.suite.parameters())
    for name, array in changes.items():
        detector, key = name.split("__")
        suite.detectors[detector].arrays |= {key: array}
    return replace(model, suite=suite)


def without(suite, name):
    """The suite without the detector of this name."""
    kept = {key: array for key, array in suite.arrays().items() if name not in key.split(".")}
    return from_arrays(kept, suite.parameters())


def with_references(model, images=None, ids=None):
    kept = model.references
    return replace(
        model, references=References(kept.images if images is None else images, kept.ids if ids is None else ids)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda model: with_detectors(model, pca__mean=np.zeros(99, np.float32)),
            r"detectors\.npz: array `pca\.mean`: float32 \(400\) expected, received float32 \(99,\)",
        ),
        (
            lambda model: with_detectors(model, features_knn__references=np.zeros((60, 7), np.float32)),
            r"detectors\.npz: array `features_knn\.references`: float32 \(m, 256\) expected, received .*, 7\)",
        ),
        (
            lambda model: with_detectors(model, one_class_svm__gamma=np.array(np.nan)),
            r"detectors\.npz: array `one_class_svm\.gamma`: finite numbers expected",
        ),
        (
            lambda model: replace(model, suite=without(model.suite, "pca")),
            r"detectors\.npz: array 'calibration\.pca' expected, found none",
        ),
        (
            lambda model: with_references(model, images=model.references.images[:, 1:]),
            r"references\.npz: array `images`: uint8 \(60, 20, 20\) expected, received uint8 \(60, 19, 20\)",
        ),
        (
            lambda model: with_references(model, ids=model.references.ids[1:]),
            r"references\.npz: array `ids`: str \(60\) expected, received .* \(59,\)",
        ),
    ],
)
def test_a_bundle_of_arrays_that_do_not_fit_is_refused_by_its_file(change, message, model, tmp_path):
    change(model).save(tmp_path / "d")
    with pytest.raises(SemisynthError, match=message):
        load_detector(tmp_path / "d")


def test_a_bundle_with_weights_that_are_not_finite_is_refused(model, tmp_path):
    broken = discriminator_of("acgan", 20, 2, dtype_policy("float32"))
    broken.set_weights([np.full_like(weight, np.nan) for weight in broken.get_weights()])
    replace(model, discriminator=broken).save(tmp_path / "d")
    with pytest.raises(SemisynthError, match=r"discriminator\.npz: finite weights expected"):
        load_detector(tmp_path / "d")


def test_another_bundle_is_no_detector(tmp_path):
    build_synthesizer(recipe_by_name("acgan"), 20, 2).save(tmp_path / "s")
    with pytest.raises(SemisynthError, match="kind `detector` expected, received `synthesizer`"):
        load_detector(tmp_path / "s")
    with pytest.raises(SemisynthError, match="no such file"):
        digest_of(tmp_path / "nothing")
