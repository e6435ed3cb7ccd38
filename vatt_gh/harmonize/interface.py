"""The interface of the engines, and how they process a batch in parts.

An engine encodes a batch, and returns a function from the losses' cotangents at the features to
harmonized gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.samples import in_one, in_parts
from vatt_gh.harmonize.trees import ParamPath, Tree

Array = jax.Array
Shared = Callable[[ParamPath], bool]  # whether cosines are taken over a parameter
Encode = Callable[[Tree, Tree], Tree]  # (params, inputs of ONE sample) -> its features
# For each pass, {loss: derivative by the pass's features, [B, ...]} of the losses that reach it.
Cotangents = Sequence[Mapping[int, Tree]]
# ([B, L, L] inner products, other data of the samples) -> (coefficients, [B, L] factors of the
# gradients that the cotangents give)
Decide = Callable[[Array, Tree], tuple[Coefficients, Array]]
# (cotangents, decide, its tree of [B, ...] arrays) -> (sum like params, all coefficients)
Finish = Callable[[Cotangents, Decide, Tree], tuple[Tree, Coefficients]]


class Pass(NamedTuple):
    """One pass of the samples through the encoder, for example with their video.

    Attributes:
        inputs: tree of [B, ...] arrays, one entry a sample.
        losses: numbers of the losses that depend on this pass's features.
    """

    inputs: Tree
    losses: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of samples B."""
        return len(jax.tree.leaves(self.inputs)[0])


class Request(NamedTuple):
    """Settings of an engine's run.

    Attributes:
        losses: number of losses L.
        shared: selects, by path of names, the parameters over which inner products are taken.
        microbatch: samples that an engine processes at a time; divides B; 0: all.
        key: random key of the step, for an engine that draws random numbers.
    """

    losses: int
    shared: Shared = lambda path: True
    microbatch: int = 0
    key: Array | None = None


class Engine(Protocol):
    """Computes inner products of per-sample gradients, and their weighted sum.

    Let g_l,i = (dh_i / dparams)^T u_l,i be sample i's gradient of loss l (its share of the batch's
    gradient: sum_i sum_l g_l,i is the ordinary one). The second half of `run` returns
    sum_i sum_l scale_l,i g_l,i; the scale depends on the sample's inner products <g_l,i, g_m,i>
    over the shared parameters.

    Attributes:
        token_multiple: per-sample products of bfloat16 sequences are fastest if their length is a
            multiple of this number of tokens; 1 where there are no such products.
    """

    token_multiple: ClassVar[int]

    def run(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> tuple[list[Tree], Finish]:
        """Encodes a batch, and returns a function from cotangents to harmonized gradients.

        Args:
            encode: (params, inputs of ONE sample) -> features h; depends on that sample only.
            params: tree of floating arrays.
            passes: passes of the samples through `encode`; a sample's gradients add up over them.
            request: the number of losses, and more.

        Returns:
            The features of each pass [B, ...], and a function (cotangents, decide, samples) ->
            (sum, a tree like params; coefficients [B, ...]), see `Finish`.

        Raises:
            ValueError: an argument does not fit.
        """

    def held_bytes(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> int:
        """Estimates the bytes that a run holds at once for ONE sample beside activations.

        Args:
            encode, params, request: see `run`; shapes are enough.
            passes: passes of ONE sample that several losses reach; inputs without the axis B.

        Returns:
            Bytes.
        """


def in_microbatches(
    forward: Callable[[Sequence[Pass]], tuple[list[Tree], Finish]],
    encode: Encode,
    params: Tree,
    passes: Sequence[Pass],
    microbatch: int,
) -> tuple[list[Tree], Finish]:
    """Runs an engine on `microbatch` samples at a time, with the results of the whole batch.

    All samples are encoded first, because the losses need all features. The data that an engine
    keeps from a forward pass are then recomputed, part by part.

    Args:
        forward: runs the engine on some of the samples.
        encode: encodes one sample.
        params: parameters of the encoder, marked by `varying_like`.
        passes: passes of B samples.
        microbatch: divides B; B or 0 takes all at once and encodes once.

    Returns:
        The features of each pass, [B, ...], and the engine's second half.

    Raises:
        ValueError: microbatch does not divide B.
    """
    count = passes[0].size
    if microbatch < 0 or (microbatch and count % microbatch):
        divisors = [n for n in range(1, count + 1) if count % n == 0]
        raise ValueError(
            f"microbatch={microbatch} does not divide {count} samples: expected 0 or one of "
            f"{', '.join(map(str, divisors))}"
        )
    if microbatch in (0, count):
        return forward(passes)

    parts = in_parts([p.inputs for p in passes], microbatch)

    def finish(cotangents: Cotangents, decide: Decide, samples: Tree) -> tuple[Tree, Coefficients]:
        def add(total: Tree, part: tuple[list[Tree], Cotangents, Tree]):
            inputs, given, known = part
            some = [p._replace(inputs=x) for p, x in zip(passes, inputs, strict=True)]
            gradients, decided = forward(some)[1](given, decide, known)
            return jax.tree.map(jnp.add, total, gradients), decided

        zero = varying_like(jax.tree.map(jnp.zeros_like, params), parts)
        others = in_parts((cotangents, samples), microbatch)
        total, decided = jax.lax.scan(add, zero, (parts, *others))
        return total, in_one(decided)

    def encode_part(part: list[Tree]) -> list[Tree]:
        return [jax.vmap(encode, in_axes=(None, 0))(params, inputs) for inputs in part]

    return in_one(jax.lax.map(encode_part, parts)), finish
