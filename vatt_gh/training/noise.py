"""Noise on the sound of a batch.

Added here, not while reading windows: devices draw numbers faster than hosts, which decode.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def with_noise(audio: Array, share: float, keys: Array) -> Array:
    """Adds Gaussian noise to each sample, as the original does in pre-training.

    Args:
        audio: [B, S] float32 in [-1, 1].
        share: standard deviation of the noise, as a share of a sample's largest magnitude.
        keys: [B] random keys, one per sample.

    Returns:
        [B, S] float32; silence stays silence.
    """

    def one(sound: Array, key: Array) -> Array:
        peak = jnp.max(jnp.abs(sound))
        return sound + share * peak * jax.random.normal(key, sound.shape, sound.dtype)

    return jax.vmap(one)(audio, keys)
