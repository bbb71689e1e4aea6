"""Equal runs from equal seeds, on equal hardware."""

import keras
import tensorflow as tf


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and Keras, and make TensorFlow's operations deterministic; call it before building."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
