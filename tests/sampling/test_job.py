import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from semisynth.data.imageset import SYNTHETIC, load_images
from semisynth.data.own import load_own
from semisynth.errors import SemisynthError, UsageError
from semisynth.networks.labeller import labeller
from semisynth.sampling.job import write_samples
from semisynth.sampling.latents import draw_latents
from semisynth.sampling.samples import SampleOptions
from semisynth.synthesizers.companion import save_companion
from semisynth.synthesizers.model import Synthesizer, load_synthesizer
from semisynth.synthesizers.patches import Codebook
from semisynth.synthesizers.sequence_sampler import Size, build_sequences


@pytest.fixture
def draw(bundle, tmp_path):
    """Draws samples into an .npz and loads it."""

    def write(recipe="semi_acgan", name="drawn.npz", **options):
        write_samples(bundle(recipe), tmp_path / name, SampleOptions(force=True, **options))
        return load_images(tmp_path / name)

    return write


@pytest.mark.parametrize("recipe", ["acgan", "semi_acgan", "dcgan"])
@pytest.mark.parametrize("name", ["a.npz", "a.png", "a"])
def test_the_same_seed_gives_the_same_bytes(bundle, tmp_path, recipe, name):
    def drawn(seed):
        options = SampleOptions(count=5, seed=seed, force=True)
        write_samples(bundle(recipe), tmp_path / name, options)
        files = [tmp_path / name] if "." in name else (tmp_path / name).rglob("*.png")
        return {path.relative_to(tmp_path): path.read_bytes() for path in files}

    first = drawn(3)
    assert drawn(3) == first
    assert drawn(4) != first


def test_classes_come_in_the_order_asked_for(draw):
    data = draw(classes=("shirt", "0"), count=5)
    assert data.labels.tolist() == [2] * 5 + [0] * 5
    assert data.class_names == ("coat", "dress/skirt", "shirt")
    assert set(data.provenance) == {SYNTHETIC}
    assert (data.dataset, data.pool) == ("synthetic, semi_acgan", 10)


@pytest.mark.parametrize("recipe", ["acgan", "semi_acgan"])
def test_a_sample_depends_on_no_other(draw, recipe):
    """Neither on how many are drawn, nor on the classes beside it."""
    many = draw(recipe, count=11)
    few = draw(recipe, classes=("dress/skirt",), count=3)
    np.testing.assert_array_equal(few.images, many.images[11:14])
    assert len(np.unique(many.images, axis=0)) == 33


def test_every_class_is_drawn_where_none_is_asked_for(draw):
    assert draw(count=2).labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_recipe_without_classes_draws_unlabelled_images(draw):
    assert draw("dcgan", count=6).labels.tolist() == [-1] * 6


def test_the_images_are_those_of_the_generator(draw, bundle):
    loaded = load_synthesizer(bundle())
    labels, numbers = np.array([1, 1]), np.array([0, 1])
    expected = loaded.decode(draw_latents(loaded.recipe, labels, numbers, seed=7, truncation=0.5), labels)
    drawn = draw(classes=("dress/skirt",), count=2, seed=7, truncation=0.5).images
    assert np.abs(drawn.astype(int) - expected).max() <= 1


def test_a_folder_is_read_back_by_the_data_set_own(bundle, draw, tmp_path):
    options = SampleOptions(count=9)
    assert write_samples(bundle(), tmp_path / "own", options) == 27
    own, test = load_own(tmp_path / "own")
    archive = draw(count=9)
    assert test is None
    assert own.class_names == ("coat", "dress_skirt", "shirt")
    np.testing.assert_array_equal(own.images, archive.images)
    np.testing.assert_array_equal(own.labels, archive.labels)


def test_an_archive_is_read_back_by_the_data_set_own(draw, tmp_path):
    drawn = draw(count=2)
    own, _ = load_own(tmp_path / "drawn.npz")
    np.testing.assert_array_equal(own.images, drawn.images)


def test_a_folder_without_classes_holds_the_images_themselves(bundle, tmp_path):
    write_samples(bundle("dcgan"), tmp_path / "plain", SampleOptions(count=5))
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == [f"{n:06d}.png" for n in range(5)]


def test_a_picture_holds_every_image_and_nothing_is_cut_off(bundle, tmp_path):
    write_samples(bundle(), tmp_path / "grid.png", SampleOptions(count=23))
    with Image.open(tmp_path / "grid.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert 300 < pixels.shape[0] < pixels.shape[1] < 1200
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()


def test_patches_are_drawn_at_the_temperature_asked_for(tmp_path):
    shades = Codebook(np.repeat(np.array([[0], [80], [160], [240]], np.float32), 16, axis=1))
    trained = build_sequences(shades, 16, 2, Size(8, 16, 1), temperature=1.0)
    trained.save(tmp_path / "lstm")

    def drawn(temperature):
        options = SampleOptions(("0",), count=5, temperature=temperature, force=True)
        write_samples(tmp_path / "lstm", tmp_path / "drawn.npz", options)
        return load_images(tmp_path / "drawn.npz").images

    assert len(np.unique(drawn(0.0), axis=0)) == 1
    assert len(np.unique(drawn(None), axis=0)) == 5
    np.testing.assert_array_equal(drawn(1.0), drawn(None))
    with pytest.raises(UsageError, match="expected a temperature of 0 or more, received -1"):
        drawn(-1.0)


def left(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.npz", {"classes": ("shrt",)}, "`--class shrt` names no class; did you mean `shirt`"),
        ("a.npz", {"classes": ("7",)}, "`--class 7` names no class; known classes: coat, dress/skirt, shirt"),
        ("a.npz", {"classes": (5000 * "9",)}, "9` names no class; known classes: coat, dress/skirt, shirt"),
        ("a.npz", {"classes": ("coat", "0")}, "`--class coat`: asked for twice"),
        ("a.npz", {"count": 0}, "`--count` must be at least 1, received 0"),
        ("a.npz", {"temperature": 1.0}, "recipe `semi_acgan` has none, `lstm` alone does"),
        ("a.npz", {"truncation": 0.0}, "`--truncation` must be larger than 0, received 0"),
        ("a.jpg", {}, "expected a name that ends in .npz or .png"),
        ("a.png", {"format": "npz"}, "expected a name that ends in .npz, received `a.png`"),
        ("a.png", {"count": 700}, "a picture takes 100 rows of images, received 105"),
        ("a.npz", {"count": 10**8}, "an .npz takes"),
    ],
)
def test_a_refusal_names_what_is_wrong_and_leaves_nothing(bundle, tmp_path, name, options, message):
    with pytest.raises(SemisynthError, match=message) as failure:
        write_samples(bundle(), tmp_path / "deep" / name, SampleOptions(**options))
    assert type(failure.value) is (SemisynthError if " takes" in message else UsageError)
    assert left(tmp_path) == []


def by_brightness(_, images):
    """What stands for a labeller: the class by the sum of all pixels, of two that do occur."""
    return np.eye(3)[images.reshape(len(images), -1).sum(axis=1) % 2]


@pytest.fixture
def labelled_bundle(bundle, tmp_path, monkeypatch):
    """A synthesizer without classes, beside which lies a labeller."""
    folder = tmp_path / "dcgan"
    shutil.copytree(bundle("dcgan"), folder)
    save_companion(folder, labeller(20, 3), side=20, classes=3)
    monkeypatch.setattr("semisynth.sampling.told.told_classes", by_brightness)
    return folder


def test_a_labeller_tells_the_classes_of_a_recipe_without_any(labelled_bundle, tmp_path):
    options = SampleOptions(("dress/skirt", "coat"), count=11, seed=2)
    assert write_samples(labelled_bundle, tmp_path / "drawn.npz", options) == 22
    drawn = load_images(tmp_path / "drawn.npz")
    assert drawn.labels.tolist() == [1] * 11 + [0] * 11
    write_samples(labelled_bundle, tmp_path / "all.npz", SampleOptions(count=100, seed=2))
    everything = load_images(tmp_path / "all.npz").images
    shown = by_brightness(None, everything).argmax(axis=1)
    for label in (0, 1):
        np.testing.assert_array_equal(drawn.images[drawn.labels == label], everything[shown == label][:11])
    write_samples(labelled_bundle, tmp_path / "folder", options)
    assert len(list((tmp_path / "folder" / "dress_skirt").glob("*.png"))) == 11


def test_a_class_that_is_never_drawn_ends_in_an_error(labelled_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("semisynth.sampling.told.MOST_DRAWN", 3)
    with pytest.raises(SemisynthError, match="`--class shirt`: the labeller saw it in 0 of 20 images, expected 5"):
        write_samples(labelled_bundle, tmp_path / "a.npz", SampleOptions(("shirt",), count=5))
    assert not (tmp_path / "a.npz").exists()


def test_a_class_of_a_recipe_without_classes_or_labeller_is_refused(bundle, tmp_path):
    with pytest.raises(SemisynthError, match="recipe `dcgan` has no classes; leave the option out"):
        write_samples(bundle("dcgan"), tmp_path / "a.npz", SampleOptions(classes=("coat",)))


@pytest.mark.parametrize("names", [("a", "A", "b"), ("a/b", "a_b", "c"), (".a", "b", "c"), ("", "b", "c")])
def test_names_that_cannot_name_folders_are_refused(synthesizer, tmp_path, names):
    replace(synthesizer(), class_names=names).save(tmp_path / "model")
    with pytest.raises(SemisynthError, match="can't name a folder of its own"):
        write_samples(tmp_path / "model", tmp_path / "out", SampleOptions(count=1))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.png", "a"])
def test_what_exists_is_replaced_by_force_alone(bundle, tmp_path, name):
    write_samples(bundle(), tmp_path / name, SampleOptions(count=1))
    before = left(tmp_path)
    with pytest.raises(SemisynthError, match="exists already"):
        write_samples(bundle(), tmp_path / name, SampleOptions(count=2))
    assert left(tmp_path) == before
    write_samples(bundle(), tmp_path / name, SampleOptions(count=2, force=True))


def test_a_folder_with_other_files_is_not_replaced_even_by_force(bundle, tmp_path):
    (tmp_path / "own" / "coat").mkdir(parents=True)
    (tmp_path / "own" / "coat" / "photo.png").touch()
    with pytest.raises(SemisynthError, match=r"since it holds coat/photo\.png, which is no sample"):
        write_samples(bundle(), tmp_path / "own", SampleOptions(force=True))
    assert left(tmp_path) == ["own", "own/coat", "own/coat/photo.png"]


@pytest.mark.parametrize("name", ["a.npz", "a.png", "a"])
def test_nothing_is_left_of_a_write_that_was_cut_off(bundle, tmp_path, monkeypatch, name):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    for worker in ("save_grid", "_stream", "Image.fromarray"):
        monkeypatch.setattr(f"semisynth.sampling.formats.{worker}", stop)
    with pytest.raises(KeyboardInterrupt):
        write_samples(bundle(), tmp_path / name, SampleOptions(count=1))
    assert left(tmp_path) == []


def test_an_archive_is_written_piece_by_piece(draw, monkeypatch):
    """Two blocks of four images at most are ever drawn together."""
    sizes = []
    straight = Synthesizer.decode

    def watched(self, latents, *arguments, **options):
        sizes.append(len(latents))
        return straight(self, latents, *arguments, **options)

    monkeypatch.setattr(Synthesizer, "decode", watched)
    assert len(draw(count=9)) == 27
    assert sizes == [8] * 4 + [4]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("format", 2, "bundle format 1 expected, received 2"), ("kind", "detector", "kind `synthesizer` expected")],
)
def test_a_bundle_of_another_version_or_kind_is_refused(synthesizer, tmp_path, key, value, message):
    synthesizer().save(tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / "bundle.json").read_text())
    (tmp_path / "model" / "bundle.json").write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(SemisynthError, match=message):
        write_samples(tmp_path / "model", tmp_path / "a.npz", SampleOptions())


def test_a_bundle_without_class_names_takes_indices(synthesizer, tmp_path):
    replace(synthesizer(), class_names=()).save(tmp_path / "model")
    write_samples(tmp_path / "model", tmp_path / "a.npz", SampleOptions(classes=("2",), count=1))
    data = load_images(tmp_path / "a.npz")
    assert (data.class_names, data.labels.tolist()) == (("0", "1", "2"), [2])


def test_a_bundle_keeps_the_names_of_its_classes(bundle):
    assert load_synthesizer(bundle()).class_names == ("coat", "dress/skirt", "shirt")


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "b")])
def test_names_that_do_not_fit_the_classes_are_refused(synthesizer, tmp_path, names):
    replace(synthesizer(), class_names=names).save(tmp_path / "model")
    with pytest.raises(SemisynthError, match="3 class names that differ expected, received"):
        load_synthesizer(tmp_path / "model")
