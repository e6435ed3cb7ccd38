"""Communication between devices that share a batch: all reductions of harmonization."""

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.trees import Tree

Array = jax.Array


def summed(tree: Tree, axis_name: str | None) -> Tree:
    """Sums every array over devices; without an axis, returns the tree unchanged."""
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)


def averaged(x: Array, axis_name: str | None) -> Array:
    """Averages all elements of all devices, with equally many on each."""
    mean = jnp.mean(x)
    return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def largest(x: Array, axis_name: str | None) -> Array:
    """Takes the elementwise maximum over devices."""
    return x if axis_name is None else jax.lax.pmax(x, axis_name)


def gathered(x: Array, axis_name: str | None) -> Array:
    """Concatenates the [b, ...] of all devices, on each device."""
    return x if axis_name is None else jax.lax.all_gather(x, axis_name, axis=0, tiled=True)


def over_mean_weight(gradients: Tree, weight: Array, axis_name: str | None) -> tuple[Tree, Array]:
    """Sums over devices and divides by the mean weight, so that dropping does not shrink a step.

    Args:
        gradients: this device's share.
        weight: [b] float32, weights of this device's samples.
        axis_name: named axis of the devices, or None.

    Returns:
        The gradients, zero where the mean weight is zero, and the mean weight [] float32.
    """
    kept = averaged(weight, axis_name)
    # NaN weights must reach the gradients: only an exact zero means an empty batch.
    scale = jnp.where(kept == 0, 0.0, 1.0 / jnp.where(kept == 0, 1.0, kept))
    return jax.tree.map(lambda g: (scale * g).astype(g.dtype), summed(gradients, axis_name)), kept


def varying_like(tree: Tree, like: Tree) -> Tree:
    """Marks arrays as varying over the same devices as `like`, under jax.shard_map.

    shard_map sums the derivative by an array that is equal on all devices over these devices.
    Per-sample gradients must not be summed, so their arguments all pass through here.

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
