"""Cross-modality gradient realignment: projects out conflicts.

Source: Wu et al., Scaling Multimodal Pre-Training via Cross-Modality Gradient Harmonization
(NeurIPS 2022), Algorithm 1; the projections are PCGrad's, both computed from original gradients.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def realignment(gram: Array, size: Array | None = None) -> Array:
    """Computes the coefficients of the gradients in the sum of the realigned ones.

    For two losses with c = <g_1, g_2> < 0,
        g_1' = g_1 - c / |g_2|^2 g_2,    g_2' = g_2 - c / |g_1|^2 g_1,
        g_1' + g_2' = (1 - c / |g_1|^2) g_1 + (1 - c / |g_2|^2) g_2.
    With more losses, each gradient loses its projections on all gradients it conflicts with.

    Args:
        gram: [B, L, L] float32 inner products of each sample's gradients.
        size: [B, L] float32, divisors of these gradients; None: not divided.

    Returns:
        [B, L] float32, at least 1; all 1 where nothing conflicts.
    """
    squares = jnp.diagonal(gram, axis1=1, axis2=2)
    conflicts = jnp.minimum(gram, 0.0)  # the diagonal is never negative
    if size is not None:
        ratio = size[:, None, :] / size[:, :, None]
        # Without a conflict, an infinite ratio must not become NaN.
        conflicts = jnp.where(conflicts == 0, 0.0, conflicts * ratio)
    # A zero gradient conflicts with nothing: its row of conflicts is zero.
    return 1.0 - jnp.sum(conflicts, axis=2) / jnp.where(squares > 0, squares, 1.0)


def equal_lengths(gram: Array, size: Array) -> Array:
    """Finds factors that scale a sample's gradients to equal length, the mean of their lengths.

    Args:
        gram: [B, L, L] float32 inner products of each sample's gradients.
        size: [B, L] float32, divisors of these gradients.

    Returns:
        [B, L] float32; 1 where a sample has a gradient of zero.
    """
    norms = jnp.sqrt(jnp.diagonal(gram, axis1=1, axis2=2))
    whole = jnp.all(norms > 0, axis=1, keepdims=True)
    norms = jnp.where(whole, norms, 1.0)
    ratios = (norms[:, None, :] / norms[:, :, None]) * (size[:, None, :] / size[:, :, None])
    return jnp.where(whole, jnp.mean(ratios, axis=2), 1.0)
