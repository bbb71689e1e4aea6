"""Small parts that steady an adversarial training; each works alone. Randomness comes from a `key`, int32 (2,)."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from semisynth.errors import SemisynthError

Range = tuple[float, float]


@dataclass(frozen=True)
class Stabilisers:
    """Which of the parts below a recipe uses, and how; the defaults use none.

    `real_targets` and `fake_targets` are ranges of `soft_targets`. `instance_noise` is the deviation that `noisy`
    starts with; it decays to 0 over the training. `feature_matching` replaces the generator's realness loss by
    `feature_matching_loss`. `replay` is the capacity of a `ReplayBuffer` of synthetic images, 0 for none.
    SemisynthError on a range that is none of probabilities, and on numbers below 0.
    """

    real_targets: Range = (1.0, 1.0)
    fake_targets: Range = (0.0, 0.0)
    instance_noise: float = 0.0
    feature_matching: bool = False
    replay: int = 0

    def __post_init__(self) -> None:
        for name in ("real_targets", "fake_targets"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= 1:
                raise SemisynthError(f"`{name}`: expected 0 <= low <= high <= 1, received {low} and {high}")
        for name in ("instance_noise", "replay"):
            if getattr(self, name) < 0:
                raise SemisynthError(f"`{name}`: expected 0 or more, received {getattr(self, name)}")

    @property
    def softens_targets(self) -> bool:
        """Whether a target is anything but 1 for real images and 0 for synthetic ones."""
        return (self.real_targets, self.fake_targets) != ((1, 1), (0, 0))

    def noise(self, images: tf.Tensor, step: tf.Tensor, steps: float, key: tf.Tensor) -> tf.Tensor:
        """The images as the discriminator sees them at `step` of `steps`."""
        if not self.instance_noise:
            return images
        return noisy(images, decayed(self.instance_noise, step, steps), key)


def drawn_targets(count: tf.Tensor, of: Range, key: tf.Tensor) -> float | tf.Tensor:
    """`soft_targets`, or the one target where the range holds no other."""
    low, high = of
    return low if low == high else soft_targets(count, low, high, key)


def soft_targets(count: tf.Tensor | int, low: float, high: float, key: tf.Tensor) -> tf.Tensor:
    """Targets (count,) for `realness_loss`, uniform in [low, high), in place of 1 or of 0.

    For real images alone, as from 0.9 to 1, they are one-sided (Salimans 2016, arXiv 1606.03498, section 3.4:
    soft targets of synthetic images would strengthen what the generator does wrong). Raises ValueError
    unless 0 <= low <= high <= 1.
    """
    if not 0 <= low <= high <= 1:
        raise ValueError(f"expected 0 <= low <= high <= 1, received {low} and {high}")
    return tf.random.stateless_uniform((count,), key, low, high)


def decayed(start: float, step: tf.Tensor | int, steps: float) -> tf.Tensor:
    """`start`, falling in a straight line to 0 at `steps`, and 0 after that; float32 ()."""
    return start * tf.maximum(0.0, 1 - tf.cast(step, tf.float32) / steps)


def noisy(images: tf.Tensor, deviation: tf.Tensor | float, key: tf.Tensor) -> tf.Tensor:
    """Images with normal noise of `deviation`, not clipped; for all that a discriminator sees, of both kinds.

    With a deviation that decays (`decayed`) the two kinds overlap at first, so that the discriminator's slope
    means something (Sønderby 2017, arXiv 1610.04490, section 3; Arjovsky and Bottou 2017, arXiv 1701.04862).
    """
    return images + tf.cast(deviation, images.dtype) * tf.random.stateless_normal(
        tf.shape(images), key, dtype=images.dtype
    )


class ReplayBuffer(keras.layers.Layer):  # type: ignore[misc]
    """Earlier synthetic images, which the discriminator sees again beside fresh ones.

    `exchange` puts a part of each batch into random places and hands out what was there, once all `capacity`
    places are filled (Shrivastava 2017, arXiv 1612.07828, section 2.3). The places are weights that nothing
    trains, so a model that holds the buffer saves them with its state. Two buffers of one capacity (images
    and their labels) that get equal keys exchange equal rows.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: str = "float32") -> None:
        super().__init__(trainable=False)
        self.capacity = capacity
        make = {"initializer": "zeros", "trainable": False}
        self.stored = self.add_weight(shape=(capacity, *shape), dtype=dtype, name="stored", **make)
        self.filled = self.add_weight(shape=(), dtype="int32", name="filled", **make)
        self.built = True

    def exchange(self, fresh: tf.Tensor, key: tf.Tensor, share: float = 0.5) -> tf.Tensor:
        """`fresh` (b, ...), of which the first `share` are replaced by earlier ones as soon as there are enough.

        b × share must be at most `capacity`.
        """
        count = tf.cast(share * tf.cast(tf.shape(fresh)[0], tf.float32), tf.int32)
        is_full = self.filled.value >= self.capacity
        anywhere = tf.argsort(tf.random.stateless_uniform((self.capacity,), key))[:count]
        next_free = (self.filled.value + tf.range(count)) % self.capacity
        places = tf.where(is_full, anywhere, next_free)  # all different
        earlier = tf.gather(self.stored.value, places)
        self.stored.value.scatter_nd_update(places[:, tf.newaxis], tf.stop_gradient(fresh[:count]))
        self.filled.assign(tf.minimum(self.capacity, self.filled.value + count))
        return tf.where(is_full, tf.concat([earlier, fresh[count:]], 0), fresh)
