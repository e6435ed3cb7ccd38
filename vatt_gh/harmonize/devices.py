"""What crosses devices that share a batch: the one place where harmonization reduces."""

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
Tree = Any


def summed(tree: Tree, axis_name: str | None) -> Tree:
    """Sum over devices of every array; without an axis, the tree itself."""
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)


def averaged(x: Array, axis_name: str | None) -> Array:
    """Mean of all elements of all devices, which hold equally many."""
    mean = jnp.mean(x)
    return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def largest(x: Array, axis_name: str | None) -> Array:
    """Largest of an array that every device has one of, element by element."""
    return x if axis_name is None else jax.lax.pmax(x, axis_name)


def gathered(x: Array, axis_name: str | None) -> Array:
    """[b, ...] of every device, one after the other, on each of them."""
    return x if axis_name is None else jax.lax.all_gather(x, axis_name, axis=0, tiled=True)


def over_mean_weight(gradients: Tree, weight: Array, axis_name: str | None) -> tuple[Tree, Array]:
    """Sum over devices, divided by the mean weight: a step is no smaller for what is dropped.

    Args:
        gradients: this device's share.
        weight: [b] float32, of this device's samples.
        axis_name: named axis of the devices, or None.

    Returns:
        The gradients, zero where the mean weight is zero, and the mean weight [] float32.
    """
    kept = averaged(weight, axis_name)
    # NaN weights must reach the gradients: only a true zero is an empty batch.
    scale = jnp.where(kept == 0, 0.0, 1.0 / jnp.where(kept == 0, 1.0, kept))
    return jax.tree.map(lambda g: (scale * g).astype(g.dtype), summed(gradients, axis_name)), kept


def varying_like(tree: Tree, like: Tree) -> Tree:
    """Marks arrays as different on each device where `like` is, under jax.shard_map.

    shard_map sums the derivative by an array that is the same on all devices over these devices.
    A sample's gradients must not be summed, so that everything they are taken by passes here.

    Args:
        tree: arrays.
        like: arrays of this device's samples.

    Returns:
        The arrays; outside of shard_map they are unchanged.
    """
    axes = frozenset().union(*map(_axes, jax.tree.leaves(like)))

    def mark(x: Array) -> Array:
        missing = tuple(axes - _axes(x))
        return jax.lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(mark, tree) if axes else tree


def _axes(x: Array) -> frozenset[str]:
    return jax.typeof(x).manual_axis_type.varying
