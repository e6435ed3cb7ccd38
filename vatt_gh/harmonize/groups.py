"""Groups of samples that share one decision, based on the sum of their gradients.

Ours: one sample's cosine is noisy. An engine sees a group as one sample whose features are those
of its members.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.interface import Cotangents, Decide, Encode, Engine, Finish, Pass, Request
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.samples import in_one, in_parts
from vatt_gh.harmonize.trees import Tree

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class InGroups:
    """Runs an engine on groups of neighbours in the batch; see `Engine`.

    Attributes:
        engine: engine that processes the groups.
        group: samples per group; divides the batch and the microbatch.
    """

    engine: Engine
    group: int

    def run(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> tuple[list[Tree], Finish]:
        """Implements `Engine.run`; known data and decisions are the same throughout a group.

        Raises:
            ValueError: the group does not divide the microbatch, or see the engine.
        """
        group = self.group
        if request.microbatch % group:
            raise ValueError(f"group={group} does not divide microbatch={request.microbatch}")
        features, finish = self.engine.run(
            jax.vmap(encode, in_axes=(None, 0)),
            params,
            [Pass(in_parts(p.inputs, group), p.losses) for p in passes],
            request._replace(microbatch=request.microbatch // group),
        )

        def finish_groups(
            cotangents: Cotangents, decide: Decide, samples: Tree
        ) -> tuple[Tree, Coefficients]:
            known = jax.tree.map(lambda x: x[::group], samples)
            total, decided = finish(in_parts(list(cotangents), group), decide, known)
            return total, jax.tree.map(lambda x: jnp.repeat(x, group, axis=0), decided)

        return in_one(features), finish_groups
