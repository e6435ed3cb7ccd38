"""Gradient-based curriculum: weighs samples less, or drops them, if their losses disagree.

Source: Wu et al. (NeurIPS 2022), Algorithm 2. The shape of the schedule is our interpretation.
"""

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.devices import gathered

Array = jax.Array


def gamma_schedule(step: Array, *, start: float, end: float, steps: int, begin: int = 0) -> Array:
    """Computes the threshold on the cosine, as a linear function of the step.

    Args:
        step: [] int32, from 0.
        start: gamma at step `begin`.
        end: gamma from step `begin + steps` on.
        steps: length of the schedule; 0: `end` from step `begin` on.
        begin: before this step gamma is -inf, which keeps everything.

    Returns:
        [] float32.
    """
    return jnp.where(step < begin, -jnp.inf, _linear(step - begin, start, end, steps))


def share_schedule(step: Array, *, start: float, end: float, steps: int, begin: int = 0) -> Array:
    """Computes the share of a batch to drop: like `gamma_schedule`, but 0 before step `begin`."""
    return jnp.where(step < begin, 0.0, _linear(step - begin, start, end, steps))


def _linear(step: Array, start: float, end: float, steps: int) -> Array:
    progress = jnp.clip(step / max(steps, 1), 0.0, 1.0) if steps else 1.0
    return jnp.asarray(start + (end - start) * progress, jnp.float32)


def sample_weights(cosine: Array, gamma: Array, *, soft_temperature: float = 0.0) -> Array:
    """Computes the weight of each sample.

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


def drop_lowest(signal: Array, defined: Array, share: Array, axis_name: str | None) -> Array:
    """Drops a share of the global batch, the samples with the lowest signals; returns weights.

    Args:
        signal: [b] float32, for example the cosine, or the negated loss.
        defined: [b] bool, whether a sample has the signal; others are kept and not counted.
        share: [] float32 in [0, 1]; the number dropped is rounded down.
        axis_name: named axis of the devices that share the batch, or None.

    Returns:
        [b] float32, 0 or 1.
    """
    place = jnp.arange(len(signal))
    everyone, counted = gathered(signal, axis_name), gathered(defined, axis_name)
    if axis_name is not None:
        place = place + jax.lax.axis_index(axis_name) * len(signal)
    # The first of equal signals ranks lowest, so that no more than the given share is dropped.
    order = jnp.argsort(jnp.where(counted, everyone, jnp.inf), stable=True)
    rank = jnp.zeros_like(order).at[order].set(jnp.arange(len(order)))[place]
    dropped = jnp.floor(share * jnp.sum(counted) + 1e-4)
    return jnp.where(defined & (rank < dropped), 0.0, 1.0)
