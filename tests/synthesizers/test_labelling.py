import functools
import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.data.imageset import ImageSet
from semisynth.networks.labeller import labeller
from semisynth.synthesizers import labelling
from semisynth.synthesizers.labelling import LabellerModel, Schedule, train_labeller
from semisynth.synthesizers.propagation import counts_of
from semisynth.synthesizers.spreading import Strokes, propagated
from semisynth.training.determinism import seed_everything

SIDE = 16
SHORT = Schedule(contrast=4, rounds=2, steps=2)  # two epochs of contrast, then two rounds of one epoch


class KilledError(Exception):
    pass


def patterns(each, seed):
    """Lying bars, standing bars and open squares, here and there: (3 each, 16, 16), and their classes."""
    random = np.random.default_rng(seed)
    images, labels = np.zeros((3 * each, SIDE, SIDE), np.uint8), np.arange(3 * each) % 3
    for image, label in zip(images, labels, strict=True):
        row, column = random.integers(3, 6, 2)
        tall, wide = ((3, 9), (9, 3), (8, 8))[label]
        image[row : row + tall, column : column + wide] = random.integers(180, 256)
        if label == 2:
            image[row + 2 : row + 6, column + 2 : column + 6] = 0
    return images, labels


@pytest.fixture(scope="module")
def few():
    images, labels = patterns(2, 0)
    return ImageSet(images, labels, ("lying", "standing", "open"), "patterns", 66)


@pytest.fixture(scope="module")
def many():
    return patterns(20, 1)


def train(few, many, schedule=SHORT, **options):
    settings = {"epochs": 4, "batch_size": 6, "seed": 1} | options
    return train_labeller(few, many[0], schedule, **settings)


@pytest.fixture(scope="module")
def train_once(few, many):
    return functools.cache(lambda **options: train(few, many, **options))


def assert_same_weights(ours, theirs):
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def guessed(network, images):
    signed = images[..., np.newaxis].astype(np.float32) / 127.5 - 1
    return network(signed, training=False)["classes"].numpy().argmax(axis=1)


def test_the_updates_of_a_schedule():
    assert Schedule(contrast=7, rounds=3, steps=5).total == 22
    assert Schedule(contrast=1, rounds=1, steps=1).total == 2


@pytest.mark.parametrize(
    ("schedule", "epochs"),
    [
        (Schedule(10, 3, 10), 3),  # 40 updates are no three epochs
        (Schedule(5, 1, 15), 2),  # an epoch would end within the second phase alone
        (Schedule(20, 4, 5), 4),  # an epoch would hold two rounds
        (Schedule(2, 1, 1), 5),  # more epochs than updates
    ],
)
def test_epochs_that_do_not_end_with_the_phases_are_refused(few, many, schedule, epochs):
    with pytest.raises(ValueError, match=f"{epochs} epochs do not end where the phases of Schedule"):
        train(few, many, schedule, epochs=epochs)


def test_the_rate_starts_low_falls_and_starts_again():
    rate = labelling._Rate(Schedule(contrast=300, rounds=2, steps=100, rate=0.01))
    values = [float(rate(tf.constant(step))) for step in range(500)]
    for begin, end in ((0, 300), (300, 500)):
        phase = values[begin:end]
        assert phase[0] == pytest.approx(0.01 / 50)
        assert max(phase) == pytest.approx(0.01, rel=0.15)
        assert all(one < two for one, two in itertools.pairwise(phase[:40]))
        assert all(one > two for one, two in itertools.pairwise(phase[60:]))
        assert phase[-1] == pytest.approx(0.01 * 0.02, rel=0.05)
    middle = values[150]  # half way: the cosine is 0
    assert middle == pytest.approx(0.01 * 0.51, rel=1e-4)


def test_the_shares_of_the_losses():
    holder = SimpleNamespace(schedule=Schedule(contrast=10, rounds=2, steps=20, contrast_weight=0.4))
    shares = {
        step: [float(v) for v in LabellerModel._shares(holder, tf.constant(step))] for step in (0, 9, 10, 30, 50)
    }
    expected = {0: [1, 0], 9: [1, 0], 10: [0.4, 1], 30: [0.2, 1], 50: [0, 1]}
    for step, pair in expected.items():
        assert shares[step] == pytest.approx(pair, abs=1e-6)


def test_patterns_are_learned_from_two_labels_a_class(few, many):
    network, history, found, counts = train(few, many, Schedule(30, 2, 20), epochs=7, batch_size=24, seed=0)
    images, labels = patterns(20, 2)  # unseen
    assert np.mean(guessed(network, images) == labels) > 0.9
    assert np.mean(found.argmax(axis=1) == many[1]) > 0.9
    np.testing.assert_array_equal(counts, counts_of(Strokes.of(few, many[0]).votes))
    assert counts.sum() == len(many[0])
    assert history[2]["contrastive_loss"] < history[0]["contrastive_loss"]
    assert history[-1]["class_loss"] < history[3]["class_loss"]


def test_the_network_returned_is_a_labeller_in_float32(few, many):
    network, history, *_ = train(few, many, precision="bfloat16")
    assert len(history) == 4
    assert [w.shape for w in network.weights] == [w.shape for w in labeller(SIDE, 3).weights]
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_the_same_seed_gives_the_same_weights(few, many, train_once):
    first, history, found, _ = train_once()
    again, again_history, found_again, _ = train(few, many)
    other = train(few, many, seed=2).network
    assert_same_weights(first, again)
    assert history == again_history
    np.testing.assert_array_equal(found, found_again)
    kernels = [(a, b) for a, b in zip(first.get_weights(), other.get_weights(), strict=True) if a.ndim > 1]
    assert all(not np.array_equal(a, b) for a, b in kernels)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_interrupted_training_ends_bit_identical(few, many, train_once, tmp_path, monkeypatch, call):
    """Killed as labels spread for the first to the last time: the checkpoint before holds targets or none."""
    straight, history, found, counts = train_once()
    calls = []

    def kill(*arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            raise KilledError
        return propagated(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(labelling, "propagated", kill)
        with pytest.raises(KilledError):
            train(few, many, resume=tmp_path)
        assert (tmp_path / "state.npz").exists()
        resumed, resumed_history, found_then, counts_then = train(few, many, resume=tmp_path)
        assert len(calls) == 3 + 1  # the killed one alone is repeated
    assert resumed_history == history
    assert_same_weights(resumed, straight)
    again, _, found_again, counts_again = train(few, many, resume=tmp_path)  # a finished training does nothing
    assert_same_weights(again, straight)
    for one in (found_then, found_again):
        np.testing.assert_array_equal(one, found)
    for one in (counts_then, counts_again):
        np.testing.assert_array_equal(one, counts)


@pytest.fixture
def watched(monkeypatch):
    """Every model that is trained, what it held whenever labels were about to spread anew, and the votes then."""
    models, held, votes = [], [], []

    class Watched(LabellerModel):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            models.append(self)

    def watch(*arguments, **options):
        held.append((models[-1].targets.numpy().copy(), models[-1].sureness.numpy().copy()))
        votes.append(arguments[4])
        return propagated(*arguments, **options)

    monkeypatch.setattr(labelling, "LabellerModel", Watched)
    monkeypatch.setattr(labelling, "propagated", watch)
    return SimpleNamespace(models=models, held=held, votes=votes)


def test_targets_are_zero_in_the_first_phase_and_renewed_before_every_round(few, many, watched):
    _, history, found, _ = train(few, many)
    assert len(watched.held) == 3
    targets, sureness = watched.held[0]
    assert targets.shape == (60, 3)
    assert not targets.any()
    assert not sureness.any()
    for epoch, logs in enumerate(history):
        later = [logs[name] for name in ("propagated_loss", "class_loss", "certainty")]
        assert min(later) > 0 if epoch >= 2 else np.isnan(later).all()
        assert logs["contrastive_loss"] > 0
    targets, sureness = watched.held[1]
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(sureness, labelling.certainty(targets) ** 2, atol=1e-6)
    assert not np.array_equal(watched.held[2][0], targets)
    assert not np.array_equal(found, watched.held[2][0])


def test_labels_spread_with_the_votes_of_what_was_found_before(few, many, watched):
    network, _, found, _ = train(few, many)
    assert watched.votes[0] is None
    for votes, (targets, _) in zip(watched.votes[1:], watched.held[1:], strict=True):
        np.testing.assert_array_equal(votes, targets)
    expected = propagated(network, few, many[0], Strokes.of(few, many[0]), watched.votes[2])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_what_is_found_after_contrast_alone_is_spread_once(few, many, watched):
    network, _, found, _ = train(few, many, Schedule(contrast=4, rounds=0, steps=2), epochs=2)
    assert watched.votes == [None]
    expected = propagated(network, few, many[0], Strokes.of(few, many[0]))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_first_phase_leaves_the_class_head_alone(few, many):
    network = train(few, many, Schedule(contrast=4, rounds=0, steps=2), epochs=2).network
    seed_everything(1)
    fresh = labeller(SIDE, 3)
    changed = 0
    for before, after in zip(fresh.trainable_variables, network.trainable_variables, strict=True):
        if before.shape[-1] == 3:
            np.testing.assert_allclose(after.numpy(), before.numpy(), atol=1e-6)
        elif before.ndim > 1:
            changed += not np.allclose(after.numpy(), before.numpy(), atol=1e-6)
    assert changed == 7  # four convolutions, the features, and two layers of the projection


def test_a_network_without_averages_is_copied_as_it_is(few, many, watched):
    """Below ten updates no weights are averaged."""
    network = train(few, many).network
    assert_same_weights(network, watched.models[0].network)


def test_weights_are_averaged_over_the_last_steps(few, many, watched):
    network = train(few, many, Schedule(12, 2, 6), epochs=4).network
    last = watched.models[0].network
    assert isinstance(network, keras.Model)
    apart = [np.abs(a.numpy() - b.numpy()).mean() for a, b in zip(network.weights, last.weights, strict=True)]
    assert apart[0] > 0
    moved = zip(network.non_trainable_variables, last.non_trainable_variables, strict=True)
    for mean, now in moved:  # of the normalisation, which keeps averages of its own
        np.testing.assert_array_equal(mean.numpy(), now.numpy())


@pytest.mark.parametrize("less", [{"contrast": 0}, {"rounds": -1}, {"steps": 0}])
def test_a_phase_without_updates_is_refused(less):
    with pytest.raises(ValueError, match="at least one update"):
        Schedule(**{"contrast": 2, "rounds": 1, "steps": 2} | less)


def test_strokes_are_found_once_a_training_and_reach_every_round(few, many, monkeypatch):
    found, received, of = [], [], Strokes.of

    def find(*arguments):
        found.append(of(*arguments))
        return found[-1]

    def watch(*arguments, even):
        received.append((arguments[3], even))
        return propagated(*arguments, even=even)

    monkeypatch.setattr(Strokes, "of", find)
    monkeypatch.setattr(labelling, "propagated", watch)
    train(few, many, even_classes=False)
    assert len(found) == 1
    assert [(strokes is found[0], even) for strokes, even in received] == [(True, False)] * 3
