import numpy as np
import pytest

from semisynth.errors import SemisynthError
from semisynth.quality.instrument import fit_instrument


@pytest.fixture(scope="module")
def halves():
    """Bright upper or lower halves, with noise: two classes that a few steps tell apart."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 120)
    images = random.integers(0, 100, (120, 16, 16))
    for image, label in zip(images, labels, strict=True):
        image[8 * label : 8 * label + 8] += 150
    return images.astype(np.uint8), labels.astype(np.int64)


def fit(halves, **changed):
    arguments = {"classes": 3, "steps": 20, "batch_size": 32, "seed": 0} | changed
    return fit_instrument(*halves, **arguments)


@pytest.fixture(scope="module")
def instrument(halves):
    return fit(halves)


def test_features_and_labels(instrument, halves):
    images, labels = halves
    features, predicted = instrument.features(images[:7]), instrument.predict(images)
    assert (features.shape, features.dtype) == ((7, 128), np.float32)
    assert (features >= 0).all()
    assert features.std(axis=0).max() > 0
    assert (predicted.shape, predicted.dtype) == ((120,), np.int64)
    assert (predicted == labels).mean() > 0.95


def test_equal_seeds_give_equal_instruments(instrument, halves):
    images, _ = halves
    assert np.array_equal(fit(halves).features(images), instrument.features(images))
    assert not np.array_equal(fit(halves, seed=1).features(images), instrument.features(images))


def test_the_budget_is_kept_to_the_step(halves):
    for steps in (7, 12):
        assert int(fit(halves, steps=steps).network.optimizer.iterations.numpy()) == steps


def test_a_finished_training_is_taken_up_from_its_folder(halves, tmp_path):
    images, _ = halves
    first = fit(halves, steps=4, resume=tmp_path)
    again = fit(halves, steps=4, resume=tmp_path)
    assert np.array_equal(first.features(images), again.features(images))


def test_another_model_in_the_resume_folder_is_refused(halves, tmp_path):
    fit(halves, steps=1, resume=tmp_path)
    with pytest.raises(SemisynthError, match="belongs to another model"):
        fit(halves, steps=1, classes=4, resume=tmp_path)
