"""The semi-supervised recipe's networks: a conditional generator, and a discriminator of two parts."""

import keras
from keras import layers

from semisynth.networks.dropping import ByteDropout
from semisynth.networks.dtype import Dtype
from semisynth.networks.heads import compared, mean_realness
from semisynth.networks.labeller import labeller
from semisynth.networks.normalisation import FusedBatchNormalization
from semisynth.networks.sizes import quarter

LATENT_SIZE = 64
CRITIC, LABELLER = "critic", "labeller"


def generator(side: int, classes: int, dtype: Dtype = None) -> keras.Model:
    """From latents float32 (b, 64) and classes int32 (b,) to images float32 (b, side, side, 1) in [-1, 1].

    `side` must be a multiple of 4 from 16 on; else SemisynthError.
    """
    base = quarter("semi_acgan", side, 4)
    latent = keras.Input((LATENT_SIZE,), name="latent")
    label = keras.Input((), dtype="int32", name="label")
    chosen = layers.CategoryEncoding(classes, output_mode="one_hot", dtype="float32")(label)
    x = layers.Concatenate(dtype="float32")([latent, chosen])
    x = layers.Dense(base * base * 128, use_bias=False, dtype=dtype)(x)
    x = layers.ReLU(dtype=dtype)(layers.BatchNormalization(dtype=dtype)(x))
    x = layers.Reshape((base, base, 128), dtype=dtype)(x)
    x = layers.Conv2D(64, 3, padding="same", use_bias=False, dtype=dtype)(layers.UpSampling2D(dtype=dtype)(x))
    x = layers.ReLU(dtype=dtype)(FusedBatchNormalization(0.99)(x))  # (b, side/2, side/2, 64)
    x = layers.Conv2D(48, 3, padding="same", activation="relu", dtype=dtype)(x)
    x = _spread_out(x, 2 * base, 12, dtype)  # (b, side, side, 12)
    x = layers.Conv2D(1, 3, padding="same", dtype=dtype)(x)
    return keras.Model([latent, label], layers.Activation("tanh", dtype="float32")(x), name="semi_acgan_generator")


def _spread_out(x: keras.KerasTensor, edge: int, filters: int, dtype: Dtype) -> keras.KerasTensor:
    """(b, edge, edge, 4 filters) to (b, 2 edge, 2 edge, filters): sub-pixel convolution (arXiv 1609.05158)."""
    x = layers.Reshape((edge, edge, 2, 2, filters), dtype=dtype)(x)
    x = layers.Permute((1, 3, 2, 4, 5), dtype=dtype)(x)
    return layers.Reshape((2 * edge, 2 * edge, filters), dtype=dtype)(x)


def critic(side: int, classes: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to realness logits `by_class` (b, k), one for each class.

    They are a logit that all classes share, and one of the class's own, from the same features: the projection
    discriminator (Miyato and Koyama 2018, arXiv 1802.05637). A head `classes` (b, k) tells classes from the
    same features as well, which brings them to represent classes sooner. `features` (b, 256) are for matching.
    With `minibatch_discrimination` the realness logits also see how alike the images of the batch are.
    """
    x = images = keras.Input((side, side, 1))
    for filters, size, strides in ((32, 5, 2), (64, 3, 2), (128, 3, 1)):
        x = layers.Conv2D(filters, size, strides=strides, padding="same", dtype=dtype)(x)
        x = layers.LeakyReLU(0.2, dtype=dtype)(x)
    x = ByteDropout(0.3, dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    features = layers.LeakyReLU(0.2, dtype="float32")(layers.Dense(256, dtype=dtype)(x))
    seen = compared(features, "float32", minibatch_discrimination)
    shared = layers.Dense(1, dtype="float32")(seen)
    own = layers.Dense(classes, use_bias=False, dtype="float32")(seen)
    by_class = layers.Add(dtype="float32")([own, layers.RepeatVector(classes)(shared)[..., 0]])
    logits = layers.Dense(classes, dtype="float32")(features)
    return keras.Model(images, {"by_class": by_class, "classes": logits, "features": features}, name=CRITIC)


def discriminator(
    side: int, classes: int, dtype: Dtype = None, *, minibatch_discrimination: bool = False
) -> keras.Model:
    """From images float32 (b, side, side, 1) in [-1, 1] to what both parts say of them; see `critic`.

    `realness` (b,) is the critic's logit where the class is open: the log-mean-exp of `by_class`. `classes` (b, k)
    and `features` (b, 256) are the labeller's.
    """
    images = keras.Input((side, side, 1))
    told = labeller(side, classes, dtype)(images)
    seen = critic(side, classes, dtype, minibatch_discrimination=minibatch_discrimination)(images)
    realness = mean_realness(seen["by_class"], classes)
    outputs = {"realness": realness, "classes": told["classes"], "features": told["features"]}
    return keras.Model(images, outputs, name="semi_acgan_discriminator")
