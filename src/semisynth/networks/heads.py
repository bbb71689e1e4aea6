"""What a discriminator's last layer gives: how real an image is, and the features that say so."""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype
from semisynth.networks.minibatch import MinibatchDiscrimination


def judgement(
    x: keras.KerasTensor, features: keras.KerasTensor, dtype: Dtype, minibatch_discrimination: bool = False
) -> dict[str, keras.KerasTensor]:
    """`realness` logits (b,) read from `x` (b, d), and `features` (b, e) as they are, both float32.

    With `minibatch_discrimination` the logit also sees how alike the images of the batch are.
    """
    x = compared(x, dtype, minibatch_discrimination)
    realness = layers.Reshape((), dtype="float32")(layers.Dense(1, dtype="float32")(x))
    return {"realness": realness, "features": layers.Identity(dtype="float32")(features)}


def compared(x: keras.KerasTensor, dtype: Dtype, minibatch_discrimination: bool) -> keras.KerasTensor:
    """Features (b, d), with how alike they are within the batch appended if that is wanted."""
    return MinibatchDiscrimination(dtype=dtype)(x) if minibatch_discrimination else x


def mean_realness(by_class: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Realness logits (b,) of images whose class is open, from those of each class (b, k): their log-mean-exp."""
    return keras.ops.logsumexp(by_class, axis=1) - float(keras.ops.log(float(classes)))
