import numpy as np
import pytest

from semisynth.classifiers.cnn import epochs_of
from semisynth.classifiers.registry import load_classifier
from semisynth.training.checkpoint import Checkpoint


class KilledError(Exception):
    """Stands for `kill -9`."""


@pytest.mark.parametrize(("steps", "epochs"), [(1500, 20), (410, 10), (21, 7), (7, 7), (1, 1), (1499, 1)])
def test_epochs_divide_the_steps(steps, epochs):
    assert epochs_of(steps) == epochs


@pytest.mark.parametrize(("settings", "steps"), [({}, 30), ({"max_steps": 5}, 5), ({"max_passes": 0.3}, 19)])
def test_the_pool_and_not_the_arm_sets_the_number_of_steps(settings, steps, make):
    assert make("cnn", **settings).settings.steps == steps


@pytest.mark.parametrize(
    ("labelled", "passes", "steps"),
    [(100, 1.0, 30), (160, 3.0, 30), (220, 3.0, 40), (1000, 9.0, 560), (5000, 9.0, 560)],
)
def test_many_labels_make_the_training_longer(labelled, passes, steps, make):
    # at most 9 passes over the pool of 1,000, in batches of 16
    assert make("cnn", labelled=labelled, labelled_passes=passes).settings.steps == steps


@pytest.mark.parametrize(("labelled", "network"), [(29, "book_cnn"), (30, "wide_cnn"), (31, "wide_cnn")])
def test_many_labels_have_a_network_of_their_own(labelled, network, make):
    assert make("cnn", labelled=labelled, network="book_cnn", many_labels=30).settings.network == network


def test_the_learning_rate_ends_at_0_after_exactly_the_budget(make, digits):
    classifier = make("cnn", max_steps=6).fit(digits[0][:40], digits[1][:40])
    optimizer = classifier._network.optimizer
    assert int(optimizer.iterations) == 6
    assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-9)


def test_an_interrupted_fit_goes_on_to_the_same_probabilities(make, digits, tmp_path, monkeypatch):
    images, labels = (part[:60] for part in digits)
    whole = make("cnn", max_steps=6).fit(images, labels).predict_proba(images)

    def save_thrice(checkpoint, model, history):
        if len(history) == 4:
            raise KilledError
        original(checkpoint, model, history)

    original = Checkpoint.save
    monkeypatch.setattr(Checkpoint, "save", save_thrice)
    with pytest.raises(KilledError):
        make("cnn", max_steps=6).fit(images, labels, resume=tmp_path)
    monkeypatch.setattr(Checkpoint, "save", original)
    assert any(tmp_path.iterdir())
    resumed = make("cnn", max_steps=6).fit(images, labels, resume=tmp_path).predict_proba(images)
    np.testing.assert_array_equal(resumed, whole)


def test_bfloat16_keeps_its_precision_when_loaded(make, digits, tmp_path):
    images, labels = (part[:60] for part in digits)
    classifier = make("cnn", max_steps=3, precision="bfloat16").fit(images, labels)
    classifier.save(tmp_path)
    loaded = load_classifier(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(images), classifier.predict_proba(images))
    assert loaded.settings.precision == "bfloat16"


@pytest.mark.parametrize("network", ["normalised_cnn", "wide_cnn", "book_cnn"])
def test_each_network_learns_and_is_rebuilt(network, make, digits, tmp_path):
    images, labels = (part[:150] for part in digits)
    classifier = make("cnn", network=network, max_steps=40).fit(images, labels)
    classifier.save(tmp_path)
    loaded = load_classifier(tmp_path)
    assert loaded._network.name == network
    probabilities = loaded.predict_proba(images)
    np.testing.assert_array_equal(probabilities, classifier.predict_proba(images))
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.6


def test_the_learning_rate_rises_over_the_first_steps_and_falls_over_the_others(make, digits):
    classifier = make("cnn", max_steps=40, learning_rate=0.002).fit(digits[0][:40], digits[1][:40])
    rate = classifier._network.optimizer._learning_rate
    values = [float(rate(step)) for step in range(41)]
    assert values[0] == pytest.approx(0.0001)
    assert max(values) == pytest.approx(0.002) == values[2]
    assert np.all(np.diff(values[:3]) > 0)
    assert np.all(np.diff(values[2:]) < 0)
