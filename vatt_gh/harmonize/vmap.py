"""The `vmap` engine: per-sample gradients by vmap(grad), in microbatches.

The direct implementation of the method, and the reference for faster engines. It holds the
gradients of `microbatch` samples for each loss: microbatch x losses x parameters of memory.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import inner_products
from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.interface import (
    Cotangents,
    Decide,
    Encode,
    Finish,
    Pass,
    Request,
    Shared,
    in_microbatches,
)
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.products import weighted_sum
from vatt_gh.harmonize.trees import Tree, by_path, tree_bytes

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Vmap:
    """See the module, and `Engine`."""

    token_multiple: ClassVar[int] = 1

    def run(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> tuple[list[Tree], Finish]:
        """Implements `Engine.run`; holds gradients of `request.microbatch` samples at a time."""
        params = varying_like(params, [p.inputs for p in passes])

        def gradients_of(samples: list[Tree], given: Cotangents) -> list[Tree]:
            total = [jax.tree.map(jnp.zeros_like, params) for _ in range(request.losses)]
            for sample, cotangents in zip(samples, given, strict=True):
                _, pullback = jax.vjp(lambda p, s=sample: encode(p, s), params)
                for loss, cotangent in cotangents.items():
                    total[loss] = jax.tree.map(jnp.add, total[loss], pullback(cotangent)[0])
            return total

        def one(samples: list[Tree], given: Cotangents) -> tuple[list[Tree], Array]:
            gradients = gradients_of(samples, given)
            return gradients, inner_products([_picked(g, request.shared) for g in gradients])

        def forward(some: Sequence[Pass]) -> tuple[list[Tree], Finish]:
            inputs = [p.inputs for p in some]

            def finish(
                cotangents: Cotangents, decide: Decide, samples: Tree
            ) -> tuple[Tree, Coefficients]:
                gradients, gram = jax.vmap(one)(inputs, cotangents)
                decided, scale = decide(gram, samples)
                total = jax.tree.map(
                    lambda *losses: weighted_sum(losses, scale).astype(losses[0].dtype), *gradients
                )
                return total, decided

            return [jax.vmap(encode, in_axes=(None, 0))(params, x) for x in inputs], finish

        return in_microbatches(forward, encode, params, passes, request.microbatch)

    def held_bytes(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> int:
        """Implements `Engine.held_bytes`: a sample's gradients of each loss."""
        return request.losses * tree_bytes(_picked(params, request.shared))


def _picked(tree: Tree, shared: Shared) -> list[Array]:
    return [x for path, x in by_path(tree).items() if shared(path)]
