"""What the engines have in common: what they are given, and how they take a batch in parts.

An engine is a function of (encode, params, passes, ...) that returns the features of all passes,
and a function that turns the losses' cotangents at these features into harmonized gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.method import Coefficients

Array = jax.Array
Tree = Any
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
