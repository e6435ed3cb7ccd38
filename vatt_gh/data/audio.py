"""Sound augmentation; tf.data graph functions."""

import tensorflow as tf


def add_noise(audio: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds Gaussian noise.

    Args:
        audio: [S] float32 in [-1, 1].
        share: standard deviation of the noise, as a share of the window's largest magnitude.
        seed: [2].

    Returns:
        [S] float32; silence stays silence.
    """
    peak = tf.reduce_max(tf.abs(audio))
    return audio + share * peak * tf.random.stateless_normal(tf.shape(audio), seed)
