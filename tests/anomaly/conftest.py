import numpy as np
import pytest

from semisynth.anomaly.judged import Judged

PATTERNS = np.random.default_rng(99).integers(60, 256, (3, 16, 16))


def normal_images(random, count):
    """Blends of three patterns, bright in the middle, with a little noise; the strongest pattern is the class."""
    weights = random.dirichlet([1, 1, 1], count)
    images = np.tensordot(weights, PATTERNS, 1) * 0.9 + random.uniform(0, 10, (count, 16, 16))
    return images.astype(np.uint8), weights.argmax(axis=1)


@pytest.fixture(scope="session")
def normal():
    """Makes normal images as a good discriminator with 3 classes judges them: from seed and count."""

    def make(seed, count=300):
        random = np.random.default_rng(seed)
        images, labels = normal_images(random, count)
        logits = 6 * np.eye(3)[labels] + random.normal(0, 0.5, (count, 3))
        features = 5 * np.eye(3, 8)[labels] + random.normal(0, 1, (count, 8))
        realness = 3 + random.normal(0, 0.5, count)
        return Judged(images, *(array.astype(np.float32) for array in (realness, features, logits)))

    return make


@pytest.fixture(scope="session")
def outliers():
    """Makes dark speckles: called unreal, of no class, and far from the classes' features."""

    def make(seed, count=40):
        random = np.random.default_rng(seed)
        images = (random.integers(0, 256, (count, 16, 16)) * (random.random((count, 16, 16)) < 0.3)).astype(
            np.uint8
        )
        logits = random.normal(-3, 0.3, (count, 3))
        features = -4 + random.normal(0, 1, (count, 8))
        realness = -3 + random.normal(0, 0.5, count)
        return Judged(images, *(array.astype(np.float32) for array in (realness, features, logits)))

    return make


@pytest.fixture(scope="session")
def joined():
    """Joins judged images."""

    def join(*parts):
        names = ("images", "realness", "features", "classes")
        return Judged(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    return join
