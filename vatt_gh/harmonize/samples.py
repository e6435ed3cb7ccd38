"""Arrays with one entry a sample: cut into parts, and multiplied by factors."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.trees import Tree

Array = jax.Array


def in_parts(tree: Tree, size: int) -> Tree:
    """Cuts every [B, ...] into [B / size, size, ...]."""
    return jax.tree.map(lambda x: x.reshape(len(x) // size, size, *x.shape[1:]), tree)


def in_one(tree: Tree) -> Tree:
    """Inverts `in_parts`."""
    return jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), tree)


def scaled(x: Array, factor: Array) -> Array:
    """Multiplies each sample's entry of [B, ...] by its factor [B]; float32."""
    return factor.reshape(-1, *[1] * (x.ndim - 1)) * x.astype(jnp.float32)


def scaled_losses(cotangents: Mapping[int, Tree], factors: Array) -> dict[int, Tree]:
    """Multiplies each loss's [B, ...] by its factors [B, L]; every array keeps its dtype."""
    return {
        loss: jax.tree.map(lambda x, f=factors[:, loss]: scaled(x, f).astype(x.dtype), tree)
        for loss, tree in cotangents.items()
    }
