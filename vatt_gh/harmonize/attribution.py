"""Assigns a batch's losses to samples: two definitions of the derivative by its features.

A contrastive loss couples samples, so that "the gradient of sample i" needs a definition.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.trees import Tree

Array = jax.Array
# (a cotangent for each loss) -> their pullback at the features of this device's samples
Pull = Callable[[list[Array]], Tree]
ATTRIBUTIONS = ("embedding", "anchor")


def feature_cotangents(
    pull: Pull, values: Sequence[Array], attribution: str, axis_name: str | None
) -> list[Tree]:
    """Computes the derivative of each loss by the features, sample by sample.

    With L = sum_j l_j over the global batch and h_i the features of sample i,
        embedding:  dL/dh_i     the whole effect of sample i, also as others' negative; these sum
                                to the ordinary gradient
        anchor:     dl_i/dh_i   its effect on its loss value, with others' features held constant

    Args:
        pull: pullback of the losses' computation.
        values: values of each loss, [] or [b]; "anchor" needs [b].
        attribution: "embedding", or "anchor", which pulls back once per sample of the global
            batch.
        axis_name: named axis of the devices, or None.

    Returns:
        For each loss a tree like the features, [b, ...].

    Raises:
        ValueError: the attribution is unknown, or does not fit the losses' shapes.
    """
    if attribution == "embedding":
        return [
            pull(_only(values, loss, jnp.ones_like(values[loss]))) for loss in range(len(values))
        ]
    if attribution != "anchor":
        raise ValueError(f"attribution={attribution!r}: expected one of {', '.join(ATTRIBUTIONS)}")
    if any(value.ndim != 1 for value in values):
        raise ValueError('attribution="anchor" needs losses with one value a sample')
    return [_anchored(pull, values, loss, axis_name) for loss in range(len(values))]


def _anchored(pull: Pull, values: Sequence[Array], loss: int, axis_name: str | None) -> Tree:
    size = len(values[loss])
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    device = 0 if axis_name is None else jax.lax.axis_index(axis_name)

    def one(place: Array) -> Tree:
        # One sample of one device at a time: collectives in the losses combine all devices'
        # cotangents.
        row, mine = place % size, place // size == device
        hot = jnp.zeros_like(values[loss]).at[row].set(jnp.where(mine, 1.0, 0.0))
        return jax.tree.map(lambda x: x[row], pull(_only(values, loss, hot)))

    rows = jax.lax.map(one, jnp.arange(devices * size))
    return jax.tree.map(
        lambda x: jax.lax.dynamic_slice_in_dim(x, device * size, size, axis=0), rows
    )


def _only(values: Sequence[Array], loss: int, cotangent: Array) -> list[Array]:
    return [cotangent if n == loss else jnp.zeros_like(v) for n, v in enumerate(values)]
