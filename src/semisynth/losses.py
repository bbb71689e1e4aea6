"""Losses: pure functions of logits, one float32 value per example; the caller reduces."""

import tensorflow as tf


def realness_loss(logits: tf.Tensor, target: float) -> tf.Tensor:
    """Cross-entropy (b,) of realness logits (b,) against the probability `target` of being real, in [0, 1].

    Target 1 for the generator is the non-saturating loss (Goodfellow 2014, arXiv 1406.2661, section 3);
    a real target below 1 is one-sided label smoothing (Salimans 2016, arXiv 1606.03498, section 3.4).
    """
    logits = tf.cast(logits, tf.float32)
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.fill(tf.shape(logits), float(target)), logits=logits)


def class_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross-entropy (b,) of class logits (b, k) against integer labels (b,) (Odena 2017, arXiv 1610.09585)."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(logits, tf.float32))
