"""The fused Adam against Keras' own, and against the paper's first step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semisynth.training.optimizing import FusedAdam

# In a few steps of .1: the fused kernel computes 1 - .999 in float32, which is 5e-5 of itself off.
ROUNDING = 1e-5
SHAPES = {"kernel": (3, 4), "bias": (4,), "scale": ()}


def built(kind, **settings):
    """An optimizer, and the variables that it updates, equal for every kind."""
    random = np.random.default_rng(0)
    variables = [keras.Variable(random.normal(size=shape), name=name) for name, shape in SHAPES.items()]
    optimizer = kind(**settings)
    optimizer.build(variables)
    return optimizer, variables


def updated(kind, steps, settings):
    """All numbers after some steps in a graph: those of the optimizer by name, then the variables'."""
    optimizer, variables = built(kind, **settings)
    step = tf.function(lambda gradients: optimizer.apply(gradients, variables))
    for number in range(steps):
        random = np.random.default_rng(number + 1)
        step([tf.constant(random.normal(size=shape), tf.float32) for shape in SHAPES.values()])
    state = {variable.path.split("/", 1)[1]: variable.numpy() for variable in optimizer.variables}
    return state | {variable.name: variable.numpy() for variable in variables}


@pytest.mark.parametrize("steps", [1, 2, 30])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"learning_rate": 0.2, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1},
        {"use_ema": True},
        {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 4},
        {"global_clipnorm": 0.5, "weight_decay": 0.1},
        {"learning_rate": keras.optimizers.schedules.CosineDecay(0.1, 20)},
    ],
    ids=lambda settings: ",".join(settings) or "defaults",
)
def test_equals_adam_of_keras_in_every_variable(settings, steps):
    fused, plain = (updated(kind, steps, settings) for kind in (FusedAdam, keras.optimizers.Adam))
    assert fused.keys() == plain.keys()
    for name, value in plain.items():
        np.testing.assert_allclose(fused[name], value, rtol=2e-5, atol=2e-6, err_msg=name)


def test_the_first_step_is_the_learning_rate_against_the_sign_of_each_gradient():
    optimizer, (kernel, *_) = built(FusedAdam, learning_rate=0.25)
    before, gradient = kernel.numpy(), np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    optimizer.apply([tf.constant(gradient), tf.zeros(4), tf.zeros(())])
    # Both moments' corrections for their start cancel, but for epsilon's: it is added before the second one's.
    moved = 0.25 * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(1 - 0.999))
    np.testing.assert_allclose(kernel.numpy(), before - moved, atol=1e-6)


def test_the_first_average_is_the_updated_variable_and_later_ones_move_towards_it():
    optimizer, (kernel, *_) = built(FusedAdam, learning_rate=0.25, use_ema=True, ema_momentum=0.75)
    average = next(one for one in optimizer.variables if "average" in one.path and one.shape == (3, 4))
    gradients = [tf.ones((3, 4)), tf.ones(4), tf.ones(())]
    optimizer.apply(gradients)
    first = kernel.numpy()
    np.testing.assert_allclose(average.numpy(), first, rtol=1e-6)
    optimizer.apply(gradients)
    np.testing.assert_allclose(average.numpy(), 0.75 * first + 0.25 * kernel.numpy(), rtol=1e-6)


def test_a_sparse_gradient_is_added_up_by_rows():
    sparse, (first, *_) = built(FusedAdam, learning_rate=0.1)
    dense, (second, *_) = built(keras.optimizers.Adam, learning_rate=0.1)
    rest = [tf.zeros(4), tf.zeros(())]
    for rows in ([0, 0, 1], [2, 1, 1]):  # row 0 still moves in the second step, by its momentum
        values = np.random.default_rng(len(rows)).normal(size=(3, 4)).astype(np.float32)
        summed = np.zeros((3, 4), np.float32)
        np.add.at(summed, rows, values)
        sparse.apply([tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant((3, 4))), *rest])
        dense.apply([tf.constant(summed), *rest])
    np.testing.assert_allclose(first.numpy(), second.numpy(), atol=ROUNDING)


def test_a_training_of_the_one_goes_on_with_the_other():
    def trained(kinds):
        """The variables after a step by each kind, the state of one handed on to the next by position."""
        state, values = None, None
        for number, kind in enumerate(kinds):
            optimizer, variables = built(kind, learning_rate=0.1, use_ema=True)
            if state is not None:
                for variable, value in zip([*optimizer.variables, *variables], state + values, strict=True):
                    variable.assign(value)
            random = np.random.default_rng(number)
            optimizer.apply([tf.constant(random.normal(size=shape), tf.float32) for shape in SHAPES.values()])
            state, values = ([one.numpy() for one in group] for group in (optimizer.variables, variables))
        return state + values

    plain = trained([keras.optimizers.Adam] * 4)
    for mixed in (trained([FusedAdam, keras.optimizers.Adam] * 2), trained([FusedAdam] * 4)):
        for ours, theirs in zip(mixed, plain, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=5e-5, atol=ROUNDING)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad must be False, received True"):
        FusedAdam(amsgrad=True)
