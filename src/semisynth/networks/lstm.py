"""A stacked LSTM that predicts the next patch of an image (Hochreiter and Schmidhuber 1997).

An image is a sequence of patches, row by row, each quantised to one of `codes` numbers. Tokens 0 to codes - 1
are patches, codes to codes + classes - 1 classes; a sequence begins with its class, so that sampling can.
"""

import keras
from keras import layers

from semisynth.errors import SemisynthError
from semisynth.networks.dtype import Dtype

RECIPE = "lstm"


def patch_count(side: int, patch: int) -> int:
    """Number of `patch` × `patch` parts of an image; SemisynthError where they don't fill it."""
    if patch < 1 or side % patch:
        raise SemisynthError(
            f"recipe `{RECIPE}` makes images with a side that is a multiple of its patch, {patch}, received {side}"
        )
    return (side // patch) ** 2


def predictor(
    codes: int, classes: int, *, embedding: int = 64, units: int = 256, depth: int = 2, dtype: Dtype = None
) -> keras.Model:
    """From tokens int32 (b, t), the class first, to logits float32 (b, t, codes) of the patch after each.

    Position i sees tokens 0 to i alone. `depth` layers of `units`.
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(codes + classes, embedding, name="embedding", dtype=dtype)(tokens)
    for number in range(depth):
        kept = {"return_sequences": True, "return_state": True, "name": f"lstm_{number}", "dtype": dtype}
        x, *_ = layers.LSTM(units, **kept)(x)
    return keras.Model(tokens, layers.Dense(codes, name="logits", dtype="float32")(x), name="lstm_predictor")


def stepper(network: keras.Model) -> keras.Model:
    """One step of a `predictor`, whose weights it shares, for sampling without reading all again.

    From tokens int32 (b, 1) and the state, a list of two float32 (b, units) a layer, zeros at the start, to
    logits (b, codes) and the next state, in the same order.
    """
    tokens = keras.Input((1,), dtype="int32", name="tokens")
    x, before, after = network.get_layer("embedding")(tokens), [], []
    for layer in network.layers:
        if isinstance(layer, layers.LSTM):
            state = [keras.Input((layer.units,)), keras.Input((layer.units,))]
            x, *fresh = layer(x, initial_state=state)
            before += state
            after += fresh
    logits = network.get_layer("logits")(x)
    return keras.Model([tokens, before], [keras.ops.squeeze(logits, 1), after], name="lstm_stepper")
