"""Inner products and cosines between one sample's gradients of several losses."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.trees import Tree

Array = jax.Array


def inner_products(gradients: Sequence[Tree]) -> Array:
    """Computes the Gram matrix of one sample's gradients, over all their leaves.

    Args:
        gradients: L trees of the same structure; leaves of any shape.

    Returns:
        [L, L] float32, entry (l, m) = <g_l, g_m>.
    """
    total = jnp.zeros((len(gradients), len(gradients)), jnp.float32)
    for leaves in zip(*map(jax.tree.leaves, gradients), strict=True):
        flat = jnp.stack([leaf.astype(jnp.float32).reshape(-1) for leaf in leaves])
        total = total + jnp.einsum("lx,mx->lm", flat, flat, precision="highest")
    return total


def cosines(gram: Array) -> tuple[Array, Array]:
    """Finds the smallest cosine between any two gradients of each sample.

    With the two losses of VATT, cos_i = <g_va, g_vt> / (|g_va| |g_vt|).

    Args:
        gram: [B, L, L] float32 inner products, L >= 2.

    Returns:
        cosine [B] float32 in [-1, 1], and [B] bool: whether it is defined. A zero gradient has no
        direction; its cosine is returned as 0.
    """
    norms = jnp.sqrt(jnp.diagonal(gram, axis1=1, axis2=2))
    scale = norms[:, :, None] * norms[:, None, :]
    defined = jnp.all(norms > 0, axis=1)
    cosine = jnp.where(scale > 0, gram, 0.0) / jnp.where(scale > 0, scale, 1.0)
    losses = gram.shape[-1]
    pairs = jnp.stack([cosine[:, i, j] for i in range(losses) for j in range(i)], axis=1)
    smallest = jnp.clip(jnp.min(pairs, axis=1), -1.0, 1.0)
    # Non-finite gradients must show: comparisons with NaN are false, and so is `defined`.
    finite = jnp.all(jnp.isfinite(gram), axis=(1, 2))
    return jnp.where(finite, jnp.where(defined, smallest, 0.0), jnp.nan), defined
