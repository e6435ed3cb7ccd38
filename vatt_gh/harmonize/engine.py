"""What the engines have in common: what they are given, and how they take a batch in parts.

An engine encodes a batch, and makes what turns the losses' cotangents at the features into
harmonized gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.trees import Path

Array = jax.Array
Tree = Any
Shared = Callable[[Path], bool]  # whether cosines are taken over a parameter
Encode = Callable[[Tree, Tree], Tree]  # (params, inputs of ONE sample) -> its features
# Of each pass: {loss: its derivative by the pass's features, [B, ...]}, for the losses it reaches.
Cotangents = Sequence[Mapping[int, Tree]]
# ([B, L, L] inner products, what else is known of the samples) -> (coefficients, [B, L] factors of
# the gradients, as those come from the cotangents)
Decide = Callable[[Array, Tree], tuple[Coefficients, Array]]
# (cotangents, decide, tree of [B, ...] arrays for it) -> (sum like params, coefficients of all)
Finish = Callable[[Cotangents, Decide, Tree], tuple[Tree, Coefficients]]


class Pass(NamedTuple):
    """One way of the samples through the encoder, for example of their video.

    Attributes:
        inputs: tree of [B, ...] arrays, one entry a sample.
        losses: numbers of the losses that depend on the features of this pass.
    """

    inputs: Tree
    losses: tuple[int, ...]


class Request(NamedTuple):
    """What an engine is asked for.

    Attributes:
        losses: number of losses L.
        shared: whether a parameter, by its path of names, is among those whose inner products are
            taken.
        microbatch: samples that an engine works on at a time; divides B; 0: all.
        key: random key of the step, for an engine that draws.
    """

    losses: int
    shared: Shared = lambda path: True
    microbatch: int = 0
    key: Array | None = None


class Engine(Protocol):
    """A way to find inner products of single samples' gradients, and their weighted sum.

    With g_l,i = (dh_i / dparams)^T u_l,i the gradient that loss l gives sample i (its share of
    the batch's gradient: sum_i sum_l g_l,i is the ordinary one), the second half of `run` returns
    sum_i sum_l scale_l,i g_l,i, where the scale is decided from the sample's inner products
    <g_l,i, g_m,i> over the shared parameters.
    """

    def run(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> tuple[list[Tree], Finish]:
        """Encodes a batch, and makes what turns cotangents into harmonized gradients.

        Args:
            encode: features h of ONE sample from params and its inputs; a function of that sample.
            params: tree of floating arrays.
            passes: ways of the samples through `encode`; gradients of one sample add up over them.
            request: the number of losses, and more.

        Returns:
            The features of each pass [B, ...], and a function of (cotangents, decide, samples), see
            `Finish`, that returns the sum, a tree like params, and the coefficients [B, ...].

        Raises:
            ValueError: an argument does not fit.
        """


def in_microbatches(
    forward: Callable[[Sequence[Pass]], tuple[list[Tree], Finish]],
    encode: Encode,
    params: Tree,
    passes: Sequence[Pass],
    microbatch: int,
) -> tuple[list[Tree], Finish]:
    """Runs an engine on `microbatch` samples at a time; the numbers are those of the whole batch.

    Features of all samples come first, because the losses need all of them; what an engine keeps
    from a forward pass is then made anew, part by part.

    Args:
        forward: the engine on some of the samples.
        encode: of one sample.
        params: of the encoder, marked by `varying_like`.
        passes: of B samples.
        microbatch: divides B; B or 0 takes all at once and encodes once.

    Returns:
        The features of each pass, [B, ...], and the engine's second half.

    Raises:
        ValueError: microbatch does not divide B.
    """
    count = len(jax.tree.leaves(passes[0].inputs)[0])
    if microbatch < 0 or (microbatch and count % microbatch):
        divisors = [n for n in range(1, count + 1) if count % n == 0]
        raise ValueError(
            f"microbatch={microbatch} does not divide {count} samples: expected 0 or one of "
            f"{', '.join(map(str, divisors))}"
        )
    if microbatch in (0, count):
        return forward(passes)

    def split(tree: Tree) -> Tree:
        parts = count // microbatch
        return jax.tree.map(lambda x: x.reshape(parts, microbatch, *x.shape[1:]), tree)

    def joined(tree: Tree) -> Tree:
        return jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), tree)

    parts = split([p.inputs for p in passes])

    def encode_part(part: list[Tree]) -> list[Tree]:
        return [jax.vmap(encode, in_axes=(None, 0))(params, inputs) for inputs in part]

    def finish(cotangents: Cotangents, decide: Decide, samples: Tree) -> tuple[Tree, Coefficients]:
        def add(total: Tree, part: tuple[list[Tree], Cotangents, Tree]):
            inputs, own, known = part
            some = [p._replace(inputs=x) for p, x in zip(passes, inputs, strict=True)]
            gradients, decided = forward(some)[1](own, decide, known)
            return jax.tree.map(jnp.add, total, gradients), decided

        zero = varying_like(jax.tree.map(jnp.zeros_like, params), parts)
        total, decided = jax.lax.scan(add, zero, (parts, split(cotangents), split(samples)))
        return total, joined(decided)

    return joined(jax.lax.map(encode_part, parts)), finish
