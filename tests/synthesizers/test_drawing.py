"""Drawing labelled images: how many, of which latents, and whose labels are believed."""

from types import SimpleNamespace

import numpy as np
import pytest

from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.drawing import draw_labelled, draw_wide
from semisynth.synthesizers.model import build_synthesizer
from semisynth.training.determinism import seed_everything

SIDE = 20


def believing(share):
    """A judge that gives class 0 the probability `share`, whatever it sees."""
    return lambda images: np.tile(np.array([share, 1 - share], np.float32), (len(images), 1))


def test_drawing_keeps_the_asked_number_per_class():
    synthesizer = build_synthesizer(recipe_by_name("acgan"), SIDE, 2)
    images, labels, confidence = draw_labelled(
        synthesizer, believing(0.75), per_class=5, candidates=2.0, confidence=0.2, seed=0
    )
    assert labels.tolist() == [0] * 5 + [1] * 5
    assert confidence.tolist() == [0.75] * 5 + [0.25] * 5
    assert images.shape == (10, SIDE, SIDE)


def test_drawing_drops_what_the_judge_does_not_believe():
    synthesizer = build_synthesizer(recipe_by_name("acgan"), SIDE, 2)
    _, labels, _ = draw_labelled(synthesizer, believing(0.9), per_class=5, candidates=1.0, confidence=0.5, seed=0)
    assert labels.tolist() == [0] * 5


def test_an_unconditional_recipe_takes_its_labels_from_the_judge():
    synthesizer = build_synthesizer(recipe_by_name("dcgan"), SIDE, 2)
    _, labels, confidence = draw_labelled(
        synthesizer, believing(0.1), per_class=3, candidates=1.0, confidence=0.5, seed=0
    )
    assert labels.tolist() == [1, 1, 1]
    assert confidence == pytest.approx([0.9] * 3)


@pytest.fixture(scope="module")
def wide():
    """Draws images of latents stretched up to 4 times, by default, by the belief of their judge in class 0."""
    seed_everything(0)
    synthesizer = build_synthesizer(recipe_by_name("semi_acgan"), 16, 2)

    def draw(judge, widest=4.0):
        return draw_wide(synthesizer, judge, per_class=5, widest=widest, confidence=0.5, seed=0)

    return draw


def test_wide_drawing_makes_again_unstretched_what_the_judge_does_not_believe(wide):
    images, labels, confidence = wide(believing(0.9))
    unstretched, _, _ = wide(believing(0.5), widest=1.0)
    assert labels.tolist() == [0] * 5 + [1] * 5
    assert confidence == pytest.approx([0.9] * 5 + [0.1] * 5)
    changed = (images != unstretched).any(axis=(1, 2))
    assert changed.tolist() == [True] * 5 + [False] * 5


def test_what_was_made_again_has_the_belief_of_its_second_image(wide):
    shares = iter([0.1, 0.7])  # class 0 is doubted at first
    _, _, confidence = wide(lambda images: believing(next(shares))(images))
    assert confidence == pytest.approx([0.7] * 5 + [0.9] * 5)


@pytest.mark.parametrize("recipe", ["dcgan", "vanilla_gan"])
def test_wide_drawing_takes_recipes_that_draw_classes_alone(recipe):
    synthesizer = build_synthesizer(recipe_by_name(recipe), SIDE, 2)
    with pytest.raises(ValueError, match=f"`{recipe}` does not draw classes from normal latents"):
        draw_wide(synthesizer, believing(1), per_class=1, widest=2.0, confidence=0.0, seed=0)


@pytest.mark.parametrize("ensemble", [1, 3])
def test_wider_latents_lie_further_from_the_middle(ensemble):
    """Every latent keeps its direction, and is stretched by a factor of its own between 1 and the widest.

    In an ensemble, its last component, which chooses the member, stays.
    """
    seen = []
    counted = SimpleNamespace(
        classes=2,
        has_classes=True,
        recipe=SimpleNamespace(latent_size=8, latent="normal", ensemble=ensemble),
        decode=lambda latents, labels: seen.append(latents) or np.zeros((len(labels), 4, 4), np.uint8),
    )
    for widest in (1.0, 3.0):
        draw_wide(counted, believing(0.5), per_class=200, widest=widest, confidence=0.0, seed=0)
    factors = seen[1] / seen[0]
    if ensemble > 1:
        assert (factors[:, -1] == 1).all()
        factors = factors[:, :-1]
    assert factors == pytest.approx(np.repeat(factors[:, :1], factors.shape[1], axis=1), rel=1e-4)
    assert 1 <= factors.min() < 1.1
    assert 2.9 < factors.max() <= 3 + 1e-4
