"""Gradient-based curriculum: samples whose losses disagree are weighed less or dropped.

Source: Wu et al. (NeurIPS 2022), Algorithm 2. The shape of the schedule is our reading of it.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def gamma_schedule(step: Array, *, start: float, end: float, steps: int) -> Array:
    """Threshold on the cosine, linear in the step.

    Args:
        step: [] int32, from 0.
        start: gamma at step 0.
        end: gamma from step `steps` on.
        steps: length of the schedule; 0 is `end` from the first step.

    Returns:
        [] float32.
    """
    progress = jnp.clip(step / max(steps, 1), 0.0, 1.0) if steps else 1.0
    return jnp.asarray(start + (end - start) * progress, jnp.float32)


def sample_weights(cosine: Array, gamma: Array, *, soft_temperature: float = 0.0) -> Array:
    """Weight of each sample.

    Args:
        cosine: [B] float32 in [-1, 1].
        gamma: [] float32.
        soft_temperature: 0 gives 1 where cosine > gamma, else 0; a positive value gives
            sigmoid((cosine - gamma) / soft_temperature).

    Returns:
        [B] float32 in [0, 1].
    """
    if soft_temperature > 0:
        return jax.nn.sigmoid((cosine - gamma) / soft_temperature)
    return (cosine > gamma).astype(jnp.float32)
