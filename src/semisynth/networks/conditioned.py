"""Classes for networks that know none: an embedding before a generator, heads behind a discriminator."""

import keras
from keras import layers

from semisynth.networks.heads import mean_realness


def with_classes(generator: keras.Model, classes: int) -> keras.Model:
    """From latents float32 (b, d) and classes int32 (b,) to the images of a `generator` that takes latents alone.

    The class is an embedding, multiplied into the latent, as `acgan` has it.
    """
    latent = keras.Input(generator.inputs[0].shape[1:], name="latent")
    label = keras.Input((), dtype="int32", name="label")
    normal = keras.initializers.RandomNormal(stddev=1.0)  # latents keep their scale
    embedded = layers.Embedding(
        classes, latent.shape[1], embeddings_initializer=normal, dtype="float32", name="class"
    )(label)
    images = generator([layers.Multiply(dtype="float32")([latent, embedded])])
    return keras.Model([latent, label], images, name=f"conditional_{generator.name}")


def with_heads(discriminator: keras.Model, classes: int, head: str) -> keras.Model:
    """A `discriminator` of `realness` (b,) and `features` (b, d), with logits of k classes from these features.

    `auxiliary`: logits `classes` (b, k) tell the class (Odena 2017, arXiv 1610.09585). `projection`: realness
    logits `by_class` (b, k) besides, each the shared one and one of the class's own, and `realness` is their
    log-mean-exp (Miyato and Koyama 2018, arXiv 1802.05637). `one_more_class`: `realness` is the log-sum-exp of
    `classes`, which hold it in common (Salimans 2016, arXiv 1606.03498, section 5).
    """
    images = keras.Input(discriminator.inputs[0].shape[1:])
    seen = discriminator(images)
    shared, features = seen["realness"][:, None], seen["features"]
    own = layers.Dense(classes, dtype="float32", name="class")(features)
    outputs = {"features": features, "realness": seen["realness"], "classes": own}
    if head == "projection":
        of_class = layers.Dense(classes, use_bias=False, dtype="float32", name="realness_of_class")(features)
        by_class = of_class + shared
        outputs |= {"by_class": by_class, "realness": mean_realness(by_class, classes)}
    elif head == "one_more_class":
        logits = own + shared
        outputs |= {"classes": logits, "realness": keras.ops.logsumexp(logits, axis=1)}
    return keras.Model(images, outputs, name=f"{head}_{discriminator.name}")
