"""The engine that compares samples' gradients at the features, not at the parameters.

Ours, not the paper's. With h_i the features of sample i, inner products use dL_l/dh_i in place
of (dh_i/dparams)^T dL_l/dh_i. Like the plain step it has one backward pass, because all
decisions are made before it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import inner_products
from vatt_gh.harmonize.interface import Cotangents, Decide, Encode, Finish, Pass, Request
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.ordinary import ordinary
from vatt_gh.harmonize.samples import scaled_losses
from vatt_gh.harmonize.trees import Tree, tree_bytes

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class AtFeatures:
    """See the module, and `Engine`."""

    token_multiple: ClassVar[int] = 1

    def run(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> tuple[list[Tree], Finish]:
        """Implements `Engine.run`; inner products use the cotangents of passes with several losses.

        Raises:
            ValueError: there is no such pass.
        """
        common = [n for n, p in enumerate(passes) if len(p.losses) > 1]
        if not common:
            raise ValueError("no pass is reached by two losses: there are no features to compare")
        features, pull = ordinary(encode, params, passes, microbatch=request.microbatch)

        def finish(
            cotangents: Cotangents, decide: Decide, samples: Tree
        ) -> tuple[Tree, Coefficients]:
            compared = [
                [_of_loss(cotangents[n], loss) for n in common] for loss in range(request.losses)
            ]
            decided, factors = decide(jax.vmap(lambda *g: inner_products(g))(*compared), samples)
            return pull([scaled_losses(given, factors) for given in cotangents]), decided

        return features, finish

    def held_bytes(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> int:
        """Implements `Engine.held_bytes`: the cotangents of a sample's features."""
        return sum(
            len(p.losses) * tree_bytes(jax.eval_shape(encode, params, p.inputs)) for p in passes
        )


def _of_loss(cotangents: Mapping[int, Tree], loss: int) -> Tree:
    """Returns a pass's cotangent for one loss: zero where the loss does not reach the pass."""
    if loss in cotangents:
        return cotangents[loss]
    return jax.tree.map(jnp.zeros_like, next(iter(cotangents.values())))
