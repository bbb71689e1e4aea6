"""Losses: pure functions of logits, one float32 value per example unless they say so; the caller reduces."""

import tensorflow as tf


def realness_loss(logits: tf.Tensor, target: float | tf.Tensor) -> tf.Tensor:
    """Cross-entropy (b,) of realness logits (b,) against the probability `target` of being real, in [0, 1].

    `target` is one for all, or one for each (b,).

    Target 1 for the generator is the non-saturating loss (Goodfellow 2014, arXiv 1406.2661, section 3);
    a real target below 1 is one-sided label smoothing (Salimans 2016, arXiv 1606.03498, section 3.4).
    """
    logits = tf.cast(logits, tf.float32)
    targets = tf.broadcast_to(tf.cast(target, tf.float32), tf.shape(logits))
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)


def class_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross-entropy (b,) of class logits (b, k) against integer labels (b,) (Odena 2017, arXiv 1610.09585)."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(logits, tf.float32))


def wasserstein_loss(scores: tf.Tensor, *, real: bool) -> tf.Tensor:
    """Minus the critic's scores (b,) of images to be held for `real`, plus those of others; unbounded.

    The critic's loss is the sum over real and over synthetic images; the generator's takes its images for
    real. The critic must be held to a slope of 1 (Arjovsky 2017, arXiv 1701.07875).
    """
    scores = tf.cast(scores, tf.float32)
    return -scores if real else scores


def between(real: tf.Tensor, synthetic: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Images (b, side, side, 1) on the lines from `real` (`share` 1) to `synthetic` ones (0); `share` (b,)."""
    share = share[:, tf.newaxis, tf.newaxis, tf.newaxis]
    return share * real + (1 - share) * synthetic


def gradient_penalty(gradients: tf.Tensor) -> tf.Tensor:
    """(‖g‖ - 1)² for the gradients (b, side, side, 1) of a critic's scores by its images; (b,), 0 or more.

    At images `between` real and synthetic ones, with uniform shares, and weighted by 10 in the paper
    (Gulrajani 2017, arXiv 1704.00028).
    """
    squares = tf.reduce_sum(tf.square(tf.cast(gradients, tf.float32)), axis=[1, 2, 3])
    return tf.square(tf.sqrt(squares + 1e-12) - 1)  # the root has no slope at 0


def feature_matching_loss(real: tf.Tensor, synthetic: tf.Tensor) -> tf.Tensor:
    """Squared difference of the mean features: one value a feature (d,), of features (b, d) and (m, d).

    It replaces the generator's loss (Salimans 2016, arXiv 1606.03498, section 3.1, which sums it over d).
    """
    means = [tf.reduce_mean(tf.cast(part, tf.float32), axis=0) for part in (real, synthetic)]
    return tf.math.squared_difference(*means)


def reconstruction_loss(logits: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Cross-entropy in nats, summed over the pixels, of logits against images in [0, 1], both (b, side, side, 1).

    With `latent_divergence` it is minus the evidence lower bound (Kingma and Welling 2014, arXiv 1312.6114).
    """
    logits = tf.cast(logits, tf.float32)
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits), axis=[1, 2, 3])


def latent_divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler divergence (b,) in nats of N(mean, exp(log_variance)), both (b, latent), from N(0, 1)."""
    mean, log_variance = tf.cast(mean, tf.float32), tf.cast(log_variance, tf.float32)
    return tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - log_variance - 1, axis=1) / 2


def contrastive_loss(first: tf.Tensor, second: tf.Tensor, temperature: float) -> tf.Tensor:
    """NT-Xent, (2 b,): how well each view finds its partner among all others of the batch, in nats.

    `first` and `second` are the projections (b, d) of two views of b images; cosine similarity over
    `temperature` (Chen 2020, "SimCLR", arXiv 2002.05709, section 2.1).
    """
    both = tf.math.l2_normalize(tf.cast(tf.concat([first, second], 0), tf.float32), axis=1)
    count = tf.shape(first)[0]
    similarities = tf.matmul(both, both, transpose_b=True) / temperature
    similarities -= 1e9 * tf.eye(2 * count)  # none is its own partner
    partners = tf.concat([tf.range(count) + count, tf.range(count)], 0)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=partners, logits=similarities)
