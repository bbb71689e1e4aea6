"""Keras' Adam by TensorFlow's fused operations: one for each variable's update in place of a dozen."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), as Keras' class of that name, but for rounding.

    Its arguments and its variables are those of Keras' Adam, so that a checkpoint of the one fits the other. One
    operation updates a variable, and two average it where `use_ema` asks for that. A sparse gradient is added up
    by rows first: Keras adds up the squares of what comes to one row, and so takes shorter or longer steps there.
    ValueError with `amsgrad`, for which there is no such operation.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.amsgrad:
            raise ValueError("amsgrad must be False, received True")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move `variable` against its `gradient` of the same shape."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        first, second = (tf.constant(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=_resource(variable).handle,
            m=_resource(self._momentums[index]).handle,
            v=_resource(self._velocities[index]).handle,
            beta1_power=first**step,
            beta2_power=second**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=first,
            beta2=second,
            epsilon=tf.constant(self.epsilon, variable.dtype),
            grad=tf.cast(tf.convert_to_tensor(gradient), variable.dtype),
        )

    def _update_model_variables_moving_average(self, trainable_variables: Iterable[Any]) -> None:
        if not self.use_ema:
            return
        # Averages start at 0; the first one is the variable itself.
        share = tf.where(tf.equal(self.iterations, 0), 1.0, 1 - self.ema_momentum)
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=False):
            if average is not None:
                kept = _resource(average)
                tf.raw_ops.ResourceApplyGradientDescent(
                    var=kept.handle, alpha=tf.cast(share, kept.dtype), delta=kept - _resource(variable)
                )


def _resource(variable: Any) -> tf.Variable:
    return variable.value if isinstance(variable, keras.Variable) else variable
