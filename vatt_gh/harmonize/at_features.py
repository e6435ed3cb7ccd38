"""The `features` engine: samples' gradients are compared at the features, in no parameter.

Ours, not the paper's: with h_i the features of sample i, it takes dL_l/dh_i in place of
(dh_i/dparams)^T dL_l/dh_i for the inner products. Like the plain step it has one
backward pass: all that is decided is known before it.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import inner_products
from vatt_gh.harmonize.engine import Cotangents, Decide, Encode, Finish, Pass
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.plain import plain
from vatt_gh.harmonize.trees import Tree

Array = jax.Array


def at_features(
    encode: Encode, params: Tree, passes: Sequence[Pass], *, losses: int, microbatch: int
) -> tuple[list[Tree], Finish]:
    """Encodes a batch, and makes what turns cotangents into harmonized gradients.

    Args:
        encode, params, passes, losses, microbatch: as for `per_sample`.

    Returns:
        As `per_sample`. Inner products are of the cotangents of those passes that all losses reach.

    Raises:
        ValueError: there is no such pass.
    """
    common = [n for n, p in enumerate(passes) if set(p.losses) == set(range(losses))]
    if not common:
        raise ValueError("no pass is reached by all losses: there are no features to compare at")
    features, pull = plain(encode, params, passes, microbatch=microbatch)

    def finish(cotangents: Cotangents, decide: Decide, samples: Tree) -> tuple[Tree, Coefficients]:
        own = [[cotangents[n][loss] for n in common] for loss in range(losses)]
        decided, factors = decide(jax.vmap(lambda *g: inner_products(g))(*own), samples)
        scaled = [
            {n: jax.tree.map(lambda x, n=n: _scaled(x, factors[:, n]), c) for n, c in given.items()}
            for given in cotangents
        ]
        return pull(scaled, None, None)[0], decided

    return features, finish


def _scaled(x: Array, factor: Array) -> Array:
    return (x.astype(jnp.float32) * factor.reshape(-1, *[1] * (x.ndim - 1))).astype(x.dtype)
