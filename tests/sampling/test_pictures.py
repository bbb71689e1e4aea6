from types import SimpleNamespace

import keras
import numpy as np
import pytest

from semisynth.errors import SemisynthError
from semisynth.networks import vae
from semisynth.sampling.latents import draw_latents
from semisynth.sampling.pictures import Drawing, class_sheet, interpolation_sheet, manifold_sheet, style_sheet
from semisynth.synthesizers.model import Synthesizer

SIDE = 16


class Stub:
    """Writes what it is asked for into the images: 10 × (latent + 10) of two components, and the class."""

    side, classes, class_names = SIDE, 3, ("a", "b", "c")

    def __init__(self, latent_size=2, has_classes=True):
        self.recipe = SimpleNamespace(
            name="stub", latent_size=latent_size, latent="normal", has_latent_space=True, ensemble=1
        )
        self.has_classes = has_classes

    def decode(self, latents, labels):
        images = np.zeros((len(labels), SIDE, SIDE), np.uint8)
        images[:, 0, :2], images[:, 0, 2] = np.rint(latents[:, :2] * 10) + 100, labels
        return images


def read(sheet, columns):
    """Latents (rows, columns, 2) to a tenth, and classes (rows, columns), that the stub was asked for."""
    cells = sheet.images[:, 0, :3].reshape(-1, columns, 3).astype(float)
    return cells[..., :2] / 10 - 10, cells[..., 2]


def latents(label, number, seed=0):
    return np.round(draw_latents(Stub().recipe, np.array([label]), np.array([number]), seed=seed)[0], 1)


def test_every_class_has_the_same_latents():
    asked, labels = read(sheet := class_sheet(Drawing(Stub(), [2, 0, 1]), 4), 4)
    assert (labels == [[2], [0], [1]]).all()
    assert (asked == asked[0]).all()
    assert asked[0] == pytest.approx(np.array([latents(2, number) for number in range(4)]), abs=0.051)
    assert (sheet.row_labels, sheet.column_labels) == (["c", "a", "b"], ["0", "1", "2", "3"])


def test_the_classes_of_a_recipe_without_any_are_refused():
    with pytest.raises(SemisynthError, match="`classes` needs a recipe with classes, received `stub`"):
        class_sheet(Drawing(Stub(has_classes=False), [0]), 4)


def test_an_interpolation_joins_the_first_samples_of_two_seeds():
    asked, labels = read(sheet := interpolation_sheet(Drawing(Stub(), [1, 2], seed=5), 3, to_seed=8), 3)
    assert (labels == [[1], [2]]).all()
    for row, label in enumerate((1, 2)):
        ends = latents(label, 0, 5), latents(label, 0, 8)
        assert asked[row, [0, 2]] == pytest.approx(np.array(ends), abs=0.051)
    assert sheet.column_labels == ["0", "0.5", "1"]


def test_the_manifold_is_the_plane_from_minus_4_to_4():
    asked, labels = read(sheet := manifold_sheet(Drawing(Stub(), [1]), 20), 20)
    assert asked.shape == (20, 20, 2)
    assert (labels == 1).all()
    assert asked[0, 0].tolist() == [-4, 4]
    assert asked[19, 19].tolist() == [4, -4]
    assert (np.diff(asked[..., 0], axis=1) > 0.3).all()
    assert (np.diff(asked[..., 1], axis=0) < -0.3).all()
    assert (sheet.column_labels[0], sheet.row_labels[0]) == ("−4", "4")
    assert sheet.title == "stub: class b, first component of the latent to the right, second upward"


def test_the_manifold_of_a_decoder_is_drawn():
    """The same function, through a network: neighbours on the plane are alike."""
    keras.utils.set_random_seed(0)
    generator = vae.generator(vae.decoder(SIDE))
    recipe = SimpleNamespace(name="tiny", latent_size=2, conditional=False)
    synthesizer = Synthesizer(recipe, generator, generator, SIDE, 2)
    images = manifold_sheet(Drawing(synthesizer, [0]), 20).images.reshape(20, 20, -1).astype(float)
    near = np.abs(np.diff(images, axis=1)).mean()
    assert 0 < near < np.abs(images[:, 0] - images[:, -1]).mean() / 3


def test_a_latent_of_another_width_has_no_manifold():
    with pytest.raises(SemisynthError, match="needs a latent of width 2, received recipe `stub` of width 64"):
        manifold_sheet(Drawing(Stub(latent_size=64), [0]), 20)


def test_the_manifold_of_more_classes_than_one_is_refused():
    with pytest.raises(SemisynthError, match="shows one class, received 2; choose by `--class`"):
        manifold_sheet(Drawing(Stub(), [0, 1]), 20)


def test_a_style_is_added_and_subtracted():
    style = np.array([1, -0.5], np.float32)
    asked, labels = read(sheet := style_sheet(Drawing(Stub(), [0, 2]), style, 5, "s"), 5)
    assert (labels == [[0], [2]]).all()
    assert asked[:, 2] == pytest.approx(np.array([latents(0, 0)] * 2), abs=0.051)
    for column, factor in enumerate((-2, -1, 0, 1, 2)):
        assert asked[:, column] - asked[:, 2] == pytest.approx(np.array([factor * style] * 2), abs=0.11)
    assert sheet.column_labels == ["−2", "−1", "0", "1", "2"]


def test_a_style_leaves_the_member_of_an_ensemble():
    stub = Stub()
    stub.recipe.ensemble = 2
    asked, _ = read(style_sheet(Drawing(stub, [0, 2]), np.array([1, -0.5], np.float32), 5, "s"), 5)
    assert (asked[..., 1] == asked[0, 0, 1]).all()
    assert len(np.unique(asked[0, :, 0])) == 5


def test_without_classes_no_row_has_a_name():
    assert interpolation_sheet(Drawing(Stub(has_classes=False), [0]), 3, 1).row_labels is None
