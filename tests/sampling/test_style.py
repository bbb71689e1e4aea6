from dataclasses import replace

import numpy as np
import pytest

from semisynth.data.imageset import ImageSet
from semisynth.errors import SemisynthError
from semisynth.sampling import style
from semisynth.sampling.latents import draw_latents
from semisynth.sampling.style import distance_of, found_latents
from semisynth.synthesizers.composition import recipe_from
from semisynth.synthesizers.model import build_synthesizer
from semisynth.training.determinism import seed_everything

NAMES = ("coat", "dress/skirt", "shirt")


@pytest.fixture
def planted(synthesizer):
    """Images that the generator drew itself, from latents that no search starts at."""
    labels = np.array([0, 1, 2, 2])
    trained = synthesizer()
    images = trained.decode(draw_latents(trained.recipe, labels, np.arange(4), seed=99), labels)
    return ImageSet(images, labels, NAMES, "planted", 4)


def test_the_search_comes_closer_than_any_candidate(synthesizer, planted, monkeypatch):
    monkeypatch.setattr(style, "PRIOR", 0.0)  # images of fresh weights are so faint that it would weigh more
    distances = []
    for steps in (0, 150):
        monkeypatch.setattr(style, "STEPS", steps)
        distances.append(distance_of(synthesizer(), found_latents(synthesizer(), planted, seed=0), planted))
    assert distances[1] < distances[0] / 3


def test_the_same_seed_finds_the_same(synthesizer, planted, monkeypatch):
    monkeypatch.setattr(style, "STEPS", 5)
    first, second, other = (found_latents(synthesizer(), planted, seed=seed) for seed in (0, 0, 1))
    assert (first.shape, first.dtype) == ((4, 64), np.float32)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_recipe_without_classes_is_searched_too(synthesizer, planted, monkeypatch):
    monkeypatch.setattr(style, "STEPS", 1)
    assert found_latents(synthesizer("dcgan"), planted, seed=0).shape == (4, 100)


def test_the_search_stays_where_latents_are_uniform(synthesizer, planted, monkeypatch):
    monkeypatch.setattr(style, "STEPS", 30)
    monkeypatch.setattr(style, "PRIOR", -1.0)  # which drives every component outwards
    assert np.abs(found_latents(synthesizer("vanilla_gan"), planted, seed=0)).max() == 1
    assert np.abs(found_latents(synthesizer("dcgan"), planted, seed=0)).max() > 1


def test_the_search_keeps_to_the_member_of_the_nearest_drawn_image(planted, monkeypatch):
    seed_everything(0)
    recipe = recipe_from({"base": "vanilla_gan", "ensemble": 2})
    pooled = build_synthesizer(recipe, 20, 3)
    found = []
    for steps in (0, 30):
        monkeypatch.setattr(style, "STEPS", steps)
        found.append(found_latents(pooled, planted, seed=0))
    np.testing.assert_array_equal(found[0][:, -1], found[1][:, -1])
    assert not np.any(found[0][:, :-1] == found[1][:, :-1])


def test_labels_are_taken_by_name_and_missing_ones_from_the_discriminator(synthesizer, planted):
    renamed = replace(planted, class_names=("shirt", "coat", "dress/skirt"), labels=np.array([0, 1, 2, -1]))
    seen = synthesizer().class_probabilities(planted.images).argmax(1)
    assert style._classes_of(synthesizer(), renamed).tolist() == [2, 0, 1, seen[3]]


def test_a_class_that_the_synthesizer_does_not_know_is_refused(synthesizer, planted):
    with pytest.raises(SemisynthError, match="classes coat, dress/skirt, shirt expected, received 'hat'"):
        found_latents(synthesizer(), replace(planted, class_names=("coat", "dress/skirt", "hat")), seed=0)


def test_images_of_another_side_and_too_many_are_refused(synthesizer, planted):
    small = replace(planted, images=planted.images[:, :16, :16])
    with pytest.raises(SemisynthError, match="at most 100 images of side 20 expected, received 4 of side 16"):
        found_latents(synthesizer(), small, seed=0)
    with pytest.raises(SemisynthError, match="received 104 of side 20"):
        found_latents(synthesizer(), planted.take(np.arange(104) % 4), seed=0)
