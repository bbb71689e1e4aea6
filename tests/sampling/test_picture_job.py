from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semisynth.errors import SemisynthError
from semisynth.sampling.job import write_samples
from semisynth.sampling.picture_job import PictureOptions, write_picture
from semisynth.sampling.samples import SampleOptions


@pytest.fixture
def images(bundle, tmp_path_factory, monkeypatch):
    """An image set whose style is wanted; its search is short."""
    monkeypatch.setattr("semisynth.sampling.style.STEPS", 3)
    path = tmp_path_factory.mktemp("images") / "drawn.npz"
    write_samples(bundle(), path, SampleOptions(count=2, seed=5))
    return path


@pytest.mark.parametrize("picture", ["classes", "interpolation", "style"])
def test_a_picture_has_the_same_bytes_again_and_nothing_is_cut_off(bundle, images, tmp_path, picture):
    options = PictureOptions(picture, columns=4, images=images if picture == "style" else None)
    told = [write_picture(bundle(), tmp_path / name, options) for name in ("a.png", "b.png")]
    assert told[0].startswith(f"{tmp_path / 'a.png'}: 12 images")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as shown:
        pixels = np.asarray(shown.convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()


@pytest.mark.parametrize(
    ("recipe", "picture"),
    [("vae", "manifold"), ("vae", "interpolation"), ("vae", "style"), ("cvae", "classes"), ("cvae", "style")],
)
def test_a_saved_autoencoder_has_pictures_too(bundle, images, tmp_path, recipe, picture):
    options = PictureOptions(picture, columns=3, images=images if picture == "style" else None)
    rows = 3 if recipe == "cvae" or picture == "manifold" else 1
    told = write_picture(bundle(recipe), tmp_path / "a.png", options)
    assert told.startswith(f"{tmp_path / 'a.png'}: {3 * rows} images")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_style_may_be_that_of_images_without_labels_and_names(bundle, images, tmp_path):
    with np.load(images) as drawn:
        np.savez(tmp_path / "mine.npz", images=drawn["images"], labels=np.full(len(drawn["images"]), -1))
    told = write_picture(
        bundle(), tmp_path / "a.png", PictureOptions("style", columns=3, images=tmp_path / "mine.npz")
    )
    assert told.startswith(f"{tmp_path / 'a.png'}: 9 images")


def test_a_style_is_that_of_the_rows_asked_for(bundle, images, tmp_path):
    def drawn(rows):
        options = PictureOptions("style", columns=3, images=images, rows=rows, force=True)
        write_picture(bundle(), tmp_path / "a.png", options)
        return (tmp_path / "a.png").read_bytes()

    assert drawn((0, 1)) != drawn((2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picture": "classes", "classes": ("coats",)}, "`--class coats` names no class; did you mean `coat`"),
        ({"picture": "classes", "columns": 1}, "`--columns` must lie in 2 to 20, received 1"),
        ({"picture": "classes", "truncation": -1.0}, "`--truncation` must be larger than 0"),
        ({"picture": "manifold"}, "needs a latent of width 2, received recipe `semi_acgan` of width 64"),
        ({"picture": "style"}, "needs `--images`"),
        ({"picture": "style", "rows": (6,)}, "`--row` must lie in 0 to 5, received 6"),
        (
            {"picture": "style", "images": Path("no.npz")},
            r"no\.npz: an image set \(\.npz\) expected, found none",
        ),
    ],
)
def test_a_refusal_leaves_nothing(bundle, images, tmp_path, options, message):
    given = {"images": images} if "rows" in options else {}
    with pytest.raises(SemisynthError, match=message):
        write_picture(bundle(), tmp_path / "a.png", PictureOptions(**options, **given))
    assert not list(tmp_path.iterdir())


def test_an_existing_picture_is_replaced_by_force_alone(bundle, tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(SemisynthError, match="exists already"):
        write_picture(bundle(), tmp_path / "a.png", PictureOptions("classes", columns=2))
    assert (tmp_path / "a.png").read_bytes() == b"old"
    write_picture(bundle(), tmp_path / "a.png", PictureOptions("classes", columns=2, force=True))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_another_suffix_is_refused(bundle, tmp_path):
    with pytest.raises(SemisynthError, match=r"expected a name that ends in \.png, received `a\.jpg`"):
        write_picture(bundle(), tmp_path / "a.jpg", PictureOptions("classes"))
