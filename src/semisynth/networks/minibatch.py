"""Minibatch discrimination: a layer that shows a discriminator how alike the images of a batch are."""

from typing import Any

import keras


class MinibatchDiscrimination(keras.layers.Layer):  # type: ignore[misc]
    """Appends to features (b, d) how near each is to the others of its batch: (b, d + `kernels`).

    Each of `kernels` maps features to `size` numbers; an image's closeness is the sum over the other images of
    exp(-L1 distance), from 0 to b - 1 (Salimans 2016, arXiv 1606.03498, section 3.2), in float32, as small ones
    would vanish beside the image's own 1 in fewer bits. Real and synthetic images
    must come in batches of their own. Outside training it appends the mean closeness seen in training, so that
    an image's score does not hang on its neighbours. In training it takes b² × kernels × size numbers.
    """

    def __init__(self, kernels: int = 50, size: int = 5, momentum: float = 0.99, **options: Any) -> None:
        super().__init__(**options)
        self.kernels, self.size, self.momentum = kernels, size, momentum

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the projection, and the mean closeness."""
        self.projection = self.add_weight(shape=(shape[-1], self.kernels * self.size), name="projection")
        options = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.usual = self.add_weight(shape=(self.kernels,), name="usual", **options)

    def call(self, features: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Give (b, d + kernels)."""
        if training:
            closeness = self._closeness(features)
            self.usual.assign(self.momentum * self.usual + (1 - self.momentum) * keras.ops.mean(closeness, axis=0))
        else:
            closeness = keras.ops.ones_like(features[:, :1], dtype="float32") * self.usual
        return keras.ops.concatenate([features, keras.ops.cast(closeness, features.dtype)], axis=1)

    def _closeness(self, features: keras.KerasTensor) -> keras.KerasTensor:
        rows = keras.ops.cast(keras.ops.matmul(features, self.projection), "float32")
        rows = keras.ops.reshape(rows, (-1, self.kernels, self.size))
        apart = keras.ops.sum(keras.ops.abs(rows[:, None] - rows[None]), axis=3)  # (b, b, kernels)
        return keras.ops.sum(keras.ops.exp(-apart), axis=1) - 1  # without itself
