"""Samples that are decided upon together, by the sum of their gradients.

Ours: one sample's cosine is noisy. A group is given to an engine as one sample whose features are
those of its members.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.engine import Cotangents, Decide, Encode, Finish, Pass
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.trees import Tree

# An engine that lacks nothing but the encoder and the passes.
Engine = Callable[[Encode, Sequence[Pass]], tuple[list[Tree], Finish]]


def in_groups(
    engine: Engine, encode: Encode, passes: Sequence[Pass], group: int
) -> tuple[list[Tree], Finish]:
    """Runs an engine on groups of neighbours in the batch.

    Args:
        engine: takes (encode, passes).
        encode: of one sample.
        passes: of B samples.
        group: samples of a group; divides B. 1: each sample alone.

    Returns:
        The features of each pass, [B, ...], and the engine's second half. What is known of the
        samples, and what is decided, is the same for all of a group.
    """
    if group == 1:
        return engine(encode, passes)
    grouped = [Pass(_grouped(p.inputs, group), p.losses) for p in passes]
    features, finish = engine(jax.vmap(encode, in_axes=(None, 0)), grouped)

    def finish_groups(
        cotangents: Cotangents, decide: Decide, samples: Tree
    ) -> tuple[Tree, Coefficients]:
        known = jax.tree.map(lambda x: x[::group], samples)
        total, decided = finish(_grouped(list(cotangents), group), decide, known)
        return total, jax.tree.map(lambda x: jnp.repeat(x, group, axis=0), decided)

    return [_apart(h) for h in features], finish_groups


def _grouped(tree: Tree, group: int) -> Tree:
    """[B, ...] -> [B / group, group, ...]"""
    return jax.tree.map(lambda x: x.reshape(-1, group, *x.shape[1:]), tree)


def _apart(tree: Tree) -> Tree:
    """[B / group, group, ...] -> [B, ...]"""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
