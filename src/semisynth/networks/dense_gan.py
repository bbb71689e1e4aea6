"""Dense networks of three hidden layers each, without classes or with them.

With classes (Mirza and Osindero 2014, arXiv 1411.1784) the one-hot class is concatenated to the latent, and to
what the discriminator has made of the image, before one more hidden layer.
"""

import keras
from keras import layers

from semisynth.networks.dtype import Dtype
from semisynth.networks.heads import compared, judgement, mean_realness

LATENT_SIZE = 100  # normal
HIDDEN = (256, 512, 1024)  # the discriminator's in the reverse order
JOINT = 256  # units that see image and class together


def generator(side: int, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, 100) to images float32 (b, side, side, 1) in [-1, 1]."""
    latent = keras.Input((LATENT_SIZE,), name="latent")
    return keras.Model([latent], _images(latent, side, dtype), name="dense_gan_generator")


def conditional_generator(side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """As `generator`, from latents and classes int32 (b,)."""
    latent, label = keras.Input((LATENT_SIZE,), name="latent"), _label()
    x = layers.Concatenate(dtype=dtype)([latent, keras.ops.one_hot(label, classes)])  # (b, 100 + k)
    return keras.Model([latent, label], _images(x, side, dtype), name="dense_cgan_generator")


def discriminator(side: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `realness` logits (b,), and `features` (b, 256)."""
    images = keras.Input((side, side, 1))
    x = _described(images, dtype)
    return keras.Model(images, judgement(x, x, dtype, minibatch_discrimination), name="dense_gan_discriminator")


def conditional_discriminator(
    side: int, classes: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False
) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to realness logits `by_class` (b, k), one for each class.

    Each is what the concatenated class leads to, so that one pass over the image serves all classes. `realness`
    (b,) is their log-mean-exp, where the class is open; `features` (b, 256) is what is concatenated. With
    `minibatch_discrimination`, so is how alike the images of the batch are.
    """
    images = keras.Input((side, side, 1))
    features = _described(images, dtype)
    seen = compared(features, dtype, minibatch_discrimination)
    repeated = layers.RepeatVector(classes, dtype=dtype)(seen)  # (b, k, 256 or more)
    every = keras.ops.zeros_like(repeated[..., :1]) + keras.ops.eye(classes, dtype=repeated.dtype)
    x = _hidden(layers.Concatenate(dtype=dtype)([repeated, every]), JOINT, dtype)
    by_class = layers.Reshape((classes,), dtype="float32")(layers.Dense(1, dtype="float32")(x))
    outputs = {
        "by_class": by_class,
        "realness": mean_realness(by_class, classes),
        "features": layers.Identity(dtype="float32")(features),
    }
    return keras.Model(images, outputs, name="dense_cgan_discriminator")


def _label() -> keras.KerasTensor:
    return keras.Input((), dtype="int32", name="label")


def _hidden(x: keras.KerasTensor, units: int, dtype: Dtype) -> keras.KerasTensor:
    return layers.LeakyReLU(0.2, dtype=dtype)(layers.Dense(units, dtype=dtype)(x))


def _images(x: keras.KerasTensor, side: int, dtype: Dtype) -> keras.KerasTensor:
    for units in HIDDEN:
        x = _hidden(x, units, dtype)
    x = layers.Dense(side * side, activation="tanh", dtype="float32")(x)
    return layers.Reshape((side, side, 1), dtype="float32")(x)


def _described(images: keras.KerasTensor, dtype: Dtype) -> keras.KerasTensor:
    x = layers.Flatten(dtype=dtype)(images)
    for units in HIDDEN[::-1]:
        x = layers.Dropout(0.3, dtype=dtype)(_hidden(x, units, dtype))
    return x
