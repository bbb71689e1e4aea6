"""The auxiliary-classifier GAN's networks (Odena 2017, arXiv 1610.09585), in the size usual for MNIST."""

import keras
from keras import layers

from semisynth.errors import SemisynthError
from semisynth.networks.dropping import ByteDropout
from semisynth.networks.dtype import Dtype
from semisynth.networks.heads import judgement
from semisynth.networks.normalisation import FusedBatchNormalization

LATENT_SIZE = 100


def generator(side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, 100) and classes int32 (b,) to images float32 (b, side, side, 1) in [-1, 1].

    The class is an embedding, multiplied into the latent. A first, unpadded 5×5 transposed convolution enlarges
    side/4 - 4 to side/4, so that `side` must be a multiple of 4 from 20 on; else SemisynthError.
    """
    base = side // 4 - 4
    if side % 4 or base < 1:
        raise SemisynthError(
            f"recipe `acgan` makes images with a side that is a multiple of 4 from 20 on, received {side}; "
            "recipe `dcgan` makes smaller ones"
        )
    latent = keras.Input((LATENT_SIZE,), name="latent")
    label = keras.Input((), dtype="int32", name="label")
    embedded = layers.Embedding(classes, LATENT_SIZE, embeddings_initializer="glorot_normal", dtype=dtype)(label)
    x = layers.Multiply(dtype=dtype)([latent, embedded])
    x = layers.Dense(base * base * 384, activation="relu", dtype=dtype)(x)
    x = layers.Reshape((base, base, 384), dtype=dtype)(x)
    x = layers.Conv2DTranspose(192, 5, activation="relu", dtype=dtype)(x)  # (b, side/4, side/4, 192)
    x = FusedBatchNormalization(0.99)(x)
    x = layers.Conv2DTranspose(96, 5, strides=2, padding="same", activation="relu", dtype=dtype)(x)
    x = FusedBatchNormalization(0.99)(x)  # (b, side/2, side/2, 96)
    x = layers.Conv2DTranspose(1, 5, strides=2, padding="same", dtype=dtype)(x)  # (b, side, side, 1)
    return keras.Model([latent, label], layers.Activation("tanh", dtype="float32")(x), name="acgan_generator")


def discriminator(
    side: int, classes: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False
) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to `realness` logits (b,) and `classes` logits (b, k).

    `features` (b, 256) is what both heads read, averaged over the places of the image.
    """
    x = images = keras.Input((side, side, 1))
    for filters, strides in zip((32, 64, 128, 256), (2, 1, 2, 1), strict=True):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", dtype=dtype)(x)
        x = layers.LeakyReLU(0.2, dtype=dtype)(x)
        x = ByteDropout(0.3, dtype=dtype)(x)
    flat, features = layers.Flatten(dtype=dtype)(x), layers.GlobalAveragePooling2D(dtype="float32")(x)
    outputs = judgement(flat, features, dtype, minibatch_discrimination)
    outputs["classes"] = layers.Dense(classes, dtype="float32")(flat)
    return keras.Model(images, outputs, name="acgan_discriminator")
