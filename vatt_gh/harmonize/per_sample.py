"""The `vmap` engine: each sample's own gradients by vmap(grad), in microbatches.

The plain reading of the method and the reference for every faster way. It holds the gradients of
`microbatch` samples at a time, for each loss: microbatch x losses x parameters of memory.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import inner_products
from vatt_gh.harmonize.method import Coefficients

Array = jax.Array
Tree = Any


def harmonized_sum(
    encode: Callable[[Tree, Tree], Tree],
    params: Tree,
    inputs: Tree,
    cotangents: tuple[Tree, ...],
    decide: Callable[[Array, Array], Coefficients],
    complete: Array,
    *,
    shared: Callable[[Tree], Tree],
    microbatch: int,
) -> tuple[Tree, Coefficients]:
    """Sum over samples of their harmonized gradients.

    With g_l,i = (dh_i / dparams)^T u_l,i the gradient that loss l gives sample i (its share of
    the batch's gradient: sum_i sum_l g_l,i is the ordinary one), returns
    sum_i sum_l scale_l,i g_l,i, where the scale comes from the sample's inner products
    <g_l,i, g_m,i> over the shared parameters.

    Args:
        encode: features h of ONE sample from params and its inputs.
        params: tree of arrays.
        inputs: tree of [B, ...] arrays, one entry a sample.
        cotangents: for each loss, its derivative by the features: trees of [B, ...] arrays.
        decide: ([m, L, L] inner products, [m] complete) -> coefficients of m samples.
        complete: [B] bool, False where a sample lacks a modality.
        shared: picks from a tree like params what all losses reach; the inner products are
            taken over it.
        microbatch: samples whose gradients are held at a time; divides B.

    Returns:
        The sum, a tree like params, and the coefficients of all samples [B, ...].
    """

    def one(sample: Tree, own: tuple[Tree, ...]) -> tuple[tuple[Tree, ...], Array]:
        _, pullback = jax.vjp(lambda p: encode(p, sample), params)
        gradients = tuple(pullback(cotangent)[0] for cotangent in own)
        return gradients, inner_products([shared(g) for g in gradients])

    def some(total: Tree, chunk: tuple[Tree, tuple[Tree, ...], Array]):
        samples, own, whole = chunk
        gradients, gram = jax.vmap(one)(samples, own)
        decided = decide(gram, whole)
        for loss, gradient in enumerate(gradients):
            factor = decided.scale[:, loss]
            total = jax.tree.map(
                lambda t, g, factor=factor: t + jnp.tensordot(factor.astype(g.dtype), g, axes=1),
                total,
                gradient,
            )
        return total, decided

    count = complete.shape[0]
    chunks = jax.tree.map(
        lambda x: x.reshape(count // microbatch, microbatch, *x.shape[1:]),
        (inputs, cotangents, complete),
    )
    total, decided = jax.lax.scan(some, jax.tree.map(jnp.zeros_like, params), chunks)
    return total, jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), decided)
