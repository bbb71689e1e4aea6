import numpy as np
import pytest

from semisynth.anomaly.detectors import DiscriminatorDetector, IsolationForestDetector, PcaDetector
from semisynth.anomaly.metrics import auroc


class Brightness:
    """A discriminator that takes bright images for real."""

    def realness(self, images):
        return images.mean(axis=(1, 2), dtype=np.float32)


DETECTORS = {
    "isolation_forest": lambda: IsolationForestDetector(random_state=0),
    "pca": PcaDetector,
    "discriminator": lambda: DiscriminatorDetector(Brightness()),
}


def normal_images(seed, count=200):
    """Blends of three patterns, bright in the middle, with a little noise."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).integers(60, 256, (3, 16, 16))
    weights = random.dirichlet([1, 1, 1], count)
    return (np.tensordot(weights, patterns, 1) * 0.9 + random.uniform(0, 10, (count, 16, 16))).astype(np.uint8)


def outliers(seed, count=40):
    """Dark speckles: unlike the patterns, and not bright."""
    random = np.random.default_rng(seed)
    return (random.integers(0, 256, (count, 16, 16)) * (random.random((count, 16, 16)) < 0.3)).astype(np.uint8)


@pytest.mark.parametrize("name", DETECTORS)
def test_planted_outliers_score_higher_than_normal_images(name):
    detector = DETECTORS[name]().fit(normal_images(0))
    images = np.concatenate([normal_images(1), outliers(2)])
    scores = detector.score_samples(images)
    assert (scores.shape, scores.dtype) == ((240,), np.float64)
    assert auroc(np.arange(240) >= 200, scores) > 0.99


@pytest.mark.parametrize("name", DETECTORS)
def test_scores_vary_and_equal_seeds_give_equal_scores(name):
    images = normal_images(1)
    scores = DETECTORS[name]().fit(normal_images(0)).score_samples(images)
    assert len(np.unique(scores)) > 100
    assert np.array_equal(scores, DETECTORS[name]().fit(normal_images(0)).score_samples(images))


def test_another_random_state_grows_another_forest():
    images = normal_images(0)
    scores = [IsolationForestDetector(random_state=state).fit(images).score_samples(images) for state in (0, 1)]
    assert not np.array_equal(*scores)


def test_pca_restores_what_its_components_explain():
    images = np.zeros((20, 16, 16), np.uint8)
    images[:, 3, 3] = np.arange(20) * 12  # a single direction
    detector = PcaDetector().fit(images)
    assert detector.score_samples(images) == pytest.approx(np.zeros(20), abs=1e-9)
    images[0, 8, 8] = 255  # one pixel of 256 is off by 1
    assert detector.score_samples(images[:1]) == pytest.approx([1 / 256], rel=1e-4)


def test_discriminator_scores_are_minus_the_logit():
    images = normal_images(0)
    assert np.array_equal(
        DiscriminatorDetector(Brightness()).fit(images).score_samples(images), -Brightness().realness(images)
    )
