import itertools
import shutil
from importlib.metadata import version
from threading import Event, Thread

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.errors import SemisynthError
from semisynth.networks.classifiers import strided_cnn
from semisynth.training.batches import balanced_batches, generated, image_batches, index_batches
from semisynth.training.budget import update_steps
from semisynth.training.checkpoint import FILE, Checkpoint, training_state
from semisynth.training.determinism import seed_everything, seeded
from semisynth.training.fit import fit_resumable
from semisynth.training.inference import batched, over_rows
from semisynth.training.precision import dtype_policy, resolve_precision
from semisynth.training.resume import fingerprint, forget, resume_folder


class KilledError(Exception):
    """Stands for `kill -9`: nothing after it runs."""


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ((1000, 2, 100, 10), 20),
        ((5, 2, 100, 10), 5),
        ((1000, 0.001, 10, 64), 1),
        ((1000, 1, 101, 10), 11),
        ((1000, 1, 1050, 10), 100),
    ],
)
def test_update_steps(budget, steps):
    assert update_steps(*budget) == steps


def test_every_pass_holds_every_index_once():
    batches = index_batches(10, 4, seed=3)
    indices = np.concatenate([next(batches) for _ in range(5)])
    assert sorted(indices[:10]) == sorted(indices[10:]) == list(range(10))
    assert indices[:10].tolist() != indices[10:].tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda start: index_batches(7, 5, seed=1, start_step=start),
        lambda start: balanced_batches(np.array([0, 0, 1, 1, 2]), 5, seed=1, start_step=start),
    ],
)
def test_batches_are_the_same_from_any_start(make):
    whole = list(itertools.islice(make(0), 9))
    later = list(itertools.islice(make(6), 3))
    np.testing.assert_array_equal(whole[6:], later)


def test_balanced_batches_even_out_rare_classes():
    labels = np.array([0] * 90 + [1] * 10)
    drawn = np.concatenate(list(itertools.islice(balanced_batches(labels, 10, seed=0), 50)))
    assert np.mean(labels[drawn] == 1) == 0.5


def test_image_batches_convert_pixels():
    images = np.full((4, 16, 16), 255, np.uint8)
    batch, labels = next(iter(image_batches(images, np.arange(4), 4, seed=0)))
    assert batch.shape == (4, 16, 16, 1)
    assert float(batch.numpy().min()) == 1
    assert sorted(labels.numpy().tolist()) == [0, 1, 2, 3]


def test_what_is_seeded_in_one_thread_is_built_before_another_may_seed():
    inside, weights = Event(), []

    def other():
        with seeded(1):
            inside.set()

    with seeded(0):
        thread = Thread(target=other)
        thread.start()
        assert not inside.wait(timeout=0.2)
        weights.append(strided_cnn(16, 3).get_weights())
    thread.join()
    assert inside.is_set()
    with seeded(0):
        weights.append(strided_cnn(16, 3).get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def compiled(seed=0, rate=0.01):
    seed_everything(seed)
    model = strided_cnn(16, 3, dtype_policy("float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate, use_ema=True), loss)
    return model


def data(count=30):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 16, 16), np.uint8), random.integers(0, 3, count)


def fit(model, resume=None, on_epoch=None, epochs=3):
    images, labels = data()
    return fit_resumable(
        model,
        lambda start: image_batches(images, labels, 8, seed=1, start_step=start),
        epochs=epochs,
        steps_per_epoch=2,
        title="test",
        resume=resume,
        on_epoch=on_epoch,
    )


def test_an_interrupted_fit_ends_bit_identical(tmp_path):
    straight = compiled()
    history = fit(straight)

    def kill(number):
        if number == 2:
            raise KilledError

    interrupted = compiled()
    with pytest.raises(KilledError):
        fit(interrupted, tmp_path, kill)
    again = compiled(seed=99)  # everything must come from the checkpoint
    assert fit(again, tmp_path) == history
    for ours, theirs in zip(training_state(again), training_state(straight), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert int(again.optimizer.iterations.numpy()) == 6


def test_a_finished_fit_is_not_run_again(tmp_path):
    history = fit(compiled(), tmp_path)
    model = compiled(seed=5)
    assert fit(model, tmp_path) == history


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(compiled(), tmp_path)
    other = strided_cnn(20, 3)
    other.compile("adam", "mse")
    with pytest.raises(SemisynthError, match="belongs to another model"):
        Checkpoint(tmp_path).restore(other)


def test_a_truncated_checkpoint_is_named(tmp_path):
    fit(compiled(), tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SemisynthError, match=FILE):
        fit(compiled(), tmp_path, epochs=5)


def test_a_loss_that_is_not_finite_names_epoch_and_step():
    model = compiled()

    def poison(number):
        if number == 2:
            model.layers[-1].kernel.assign(np.full(model.layers[-1].kernel.shape, np.nan, np.float32))

    with pytest.raises(SemisynthError, match="test: `loss` became nan in epoch 3, step 1"):
        fit(model, on_epoch=poison)


def test_batched_gives_every_image_once_in_order():
    model = compiled()
    images, _ = data(11)
    whole = batched(model, images, 11)
    np.testing.assert_allclose(batched(model, images, 4), whole, atol=1e-5)
    assert batched(model, images[:0], 4).shape == (0, *whole.shape[1:])
    assert whole.shape == (11, 3)
    assert not np.allclose(whole[0], whole[1])


@pytest.mark.parametrize("count", [0, 3, 4, 9])
def test_rows_of_several_arrays_stay_together_and_padding_is_dropped(count):
    first = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    second = np.arange(count, dtype=np.int32)
    received = over_rows(lambda rows: rows[0] + tf.cast(rows[1], tf.float32)[:, None], [first, second], 4)
    np.testing.assert_array_equal(received, first + second[:, None])


@pytest.mark.parametrize(("flags", "expected"), [("fpu avx512_bf16", "bfloat16"), ("fpu avx2", "float32")])
def test_precision_follows_the_processor(tmp_path, flags, expected):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags : {flags}\n")
    assert resolve_precision("auto", info) == expected
    assert resolve_precision("float32", info) == "float32"
    assert resolve_precision("auto", tmp_path / "none") == "float32"


def test_a_fingerprint_changes_with_the_libraries(tmp_path, monkeypatch):
    first = fingerprint({}, [])
    monkeypatch.setattr(
        "semisynth.training.resume.version", lambda name: "2" if name == "keras" else version(name)
    )
    assert fingerprint({}, []) != first


def test_a_fingerprint_changes_with_parameters_and_data(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"1")
    first = fingerprint({"a": 1}, [path])
    assert first == fingerprint({"a": 1}, [path])
    assert first != fingerprint({"a": 2}, [path])
    path.write_bytes(b"2")
    assert first != fingerprint({"a": 1}, [path])


def test_a_resume_folder_outlives_the_run_but_not_a_change(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"1")
    folder = resume_folder("stage", {"a": 1}, [path], tmp_path / "resume")
    (folder / "state").write_text("kept")
    assert (resume_folder("stage", {"a": 1}, [path], tmp_path / "resume") / "state").exists()
    resume_folder("stage", {"a": 2}, [path], tmp_path / "resume")
    assert not folder.exists()
    assert len(list(folder.parent.iterdir())) == 1
    forget(folder)


def test_a_kill_while_a_resume_folder_is_deleted_leaves_no_part_of_it(tmp_path, monkeypatch):
    folder = resume_folder("stage", {}, [], tmp_path)
    (folder / "state").write_text("whole")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *given, **options: None)  # the kill comes first
        forget(folder)
    assert not folder.exists()
    assert not list(resume_folder("stage", {}, [], tmp_path).iterdir())
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_pipelines_tuner_is_off():
    data = generated(lambda: iter([np.zeros(2, np.float32)] * 3), tf.TensorSpec((2,), tf.float32))
    assert data.options().autotune.enabled is False
    assert len(list(data)) == 3
