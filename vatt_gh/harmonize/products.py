"""Inner products and weighted sums of per-sample gradients of one matrix.

For each call of the matrix, the inputs x [T, i] and the output cotangents d [T, o] are known. A
sample's gradient is x^T d, and the inner product of two gradients, with cotangents a and b of two
losses, is

    <x^T a, x^T b> = sum_ts (x x^T)_ts (a b^T)_ts        Gram form, T x T
                   = sum_io (x^T a)_io (x^T b)_io        direct form, i x o

whichever costs fewer operations. A matrix's calls are concatenated along T, so that products
between different calls are included. The gradients of the direct form are kept for their weighted
sum if they take no more memory than the inputs and cotangents. Otherwise they are reduced at once,
some samples at a time, and the sum is one product of all rows.

Sources: Goodfellow, Efficient per-example gradient computations (2015); Li et al., Large language
models can be strong differentially private learners (ICLR 2022), ghost clipping.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.samples import scaled

Array = jax.Array


class Use(NamedTuple):
    """One call of a layer on B samples.

    Attributes:
        x: [B, ...], its input.
        cotangents: {loss: [B, ...]} of its output, without losses that do not reach it.
    """

    x: Array
    cotangents: dict[int, Array]


class Sketch(NamedTuple):
    """Random signs for estimates in place of exact inner products.

    Attributes:
        size: signs per row; the error falls as 1 / sqrt(size).
        key: random key of the layer.
    """

    size: int
    key: Array


class MatrixGradients:
    """Per-sample gradients of the matrix in y = x @ matrix, from inputs and cotangents.

    Args:
        uses: its calls, x [B, ..., i] and cotangents [B, ..., o].
        losses: number of losses.
        precision: precision of all products.
    """

    def __init__(
        self, uses: Sequence[Use], losses: int, precision: jax.lax.Precision | None = None
    ):
        self._uses = [_matrices(use) for use in uses]
        self._precision = precision
        self._losses = losses
        self._kept: list[Array | None] = []  # per loss [B, i, o], once they are formed

    def inner_products(self, sketch: Sketch | None) -> Array:
        """Computes the inner products between the gradients in all losses, exact or estimated.

        Args:
            sketch: random signs for estimates, if these halve the operations; None: exact.

        Returns:
            [B, losses, losses] float32.
        """
        uses, losses = self._uses, self._losses
        gram, direct = _costs(uses, losses, *_shape(uses))
        keep = _formed_size(uses) <= sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(uses))
        if keep:  # their weighted sum then needs no product of all rows
            direct -= sum(use.x.shape[1] for use in uses) * math.prod(_shape(uses))
        if sketch is not None:
            projected = _projected(uses, losses, sketch, min(gram, direct))
            if projected is not None:
                gram, direct = _costs(projected, losses, *_shape(projected))
                cheaper = _by_gram if gram < direct else _reduced_at_once
                return cheaper(projected, losses, self._precision)
        if gram < direct:
            return _by_gram(uses, losses, self._precision)
        if not keep:
            return _reduced_at_once(uses, losses, self._precision)
        self._kept = _formed(uses, losses, self._precision)
        return pairwise(self._kept, lambda a, b: _summed_product(a, b, (1, 2)))

    def weighted_sum(self, scale: Array) -> Array:
        """Computes sum_b sum_l scale[b, l] x (gradient of sample b in loss l).

        Args:
            scale: [B, losses] float32.

        Returns:
            [i, o] float32.
        """
        if self._kept:
            return weighted_sum(self._kept, scale)
        parts = [
            _contracted(u.x, weighted(u.cotangents, scale), "bt", jnp.float32, self._precision)
            for u in self._uses
        ]
        return sum(parts[1:], parts[0])


def _matrices(use: Use) -> Use:
    """Reshapes to [B, T, n]; inputs are cast to the dtype of the cotangents."""

    def rows(x: Array) -> Array:
        return x.reshape(x.shape[0], -1, x.shape[-1])

    dtype = next(iter(use.cotangents.values())).dtype
    return Use(rows(use.x).astype(dtype), {n: rows(d) for n, d in use.cotangents.items()})


def _shape(uses: Sequence[Use]) -> tuple[int, int]:
    """Returns the shape of the matrix."""
    return uses[0].x.shape[-1], next(iter(uses[0].cotangents.values())).shape[-1]


def _costs(uses: Sequence[Use], losses: int, i: int, o: int) -> tuple[int, int]:
    """Counts the operations per sample of the Gram form and the direct form, for a matrix [i, o].

    The Gram matrix of x is the same for all pairs of losses that reach the same calls.
    """
    reached = [[u.x.shape[1] for u in uses if n in u.cotangents] for n in range(losses)]
    tokens = [sum(rows) for rows in reached if rows]
    pairs = [s * t for n, s in enumerate(tokens) for t in tokens[n:]]
    return max(pairs) * i + sum(pairs) * o, sum(tokens) * i * o


def _formed_size(uses: Sequence[Use]) -> int:
    """Counts the bytes of all samples' gradients in all losses that reach the matrix."""
    present = {n for use in uses for n in use.cotangents}
    size = _dtype(uses).itemsize * math.prod(_shape(uses))
    return len(uses[0].x) * len(present) * size


def _dtype(uses: Sequence[Use]) -> jnp.dtype:
    """Returns the dtype of per-sample gradients: the inputs', or the wider one if calls differ."""
    return jnp.result_type(*(use.x.dtype for use in uses))


def _formed(
    uses: Sequence[Use], losses: int, precision: jax.lax.Precision | None
) -> list[Array | None]:
    """Forms the gradients [..., i, o] of each loss that reaches the matrix.

    They have the dtype of the inputs, like the gradient of one call in the plain step. Several
    calls are added in that dtype too, whereas the plain step adds in float32.
    """
    dtype = _dtype(uses)
    parts = [
        [
            _contracted(use.x, use.cotangents[n], "t", dtype, precision)
            for use in uses
            if n in use.cotangents
        ]
        for n in range(losses)
    ]
    # Summed directly: a GPU's products accumulate in place, so that a single array remains.
    return [sum(some[1:], some[0]) if some else None for some in parts]


def _summed_product(a: Array, b: Array, axes: tuple[int, ...] | None = None) -> Array:
    """Sums a b, float32. As a sum, not a matrix product: all pairs share one pass over memory."""
    return jnp.sum(a.astype(jnp.float32) * b.astype(jnp.float32), axis=axes)


def _contracted(
    x: Array, d: Array, over: str, dtype: jnp.dtype, precision: jax.lax.Precision | None
) -> Array:
    """Computes x^T d, [..., i, o] of a dtype, over "t" of [..., t, i]; "bt": also over samples."""
    if d.shape[-1] < x.shape[-1]:
        # XLA transposes the first factor, and often recomputes it then, so that is the smaller.
        turned = _contracted(d, x, over, dtype, precision)
        # Barrier: XLA on CPU has no transposed bfloat16 product.
        return jax.lax.optimization_barrier(turned).swapaxes(-1, -2)
    indices = f"...{over}i,...{over}o->...io"
    return jnp.einsum(indices, x, d, preferred_element_type=dtype, precision=precision)


def _reduced_at_once(
    uses: Sequence[Use], losses: int, precision: jax.lax.Precision | None
) -> Array:
    """Computes the direct form; gradients of some samples at a time take the memory of the uses."""

    def one(sample: Sequence[Use]) -> Array:
        return pairwise(_formed(sample, losses, precision), _summed_product)

    count = len(uses[0].x)
    held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(uses))
    parts = math.ceil(count / max(1, count * held // _formed_size(uses)))
    return jax.lax.map(one, uses, batch_size=math.ceil(count / parts))


def _by_gram(uses: Sequence[Use], losses: int, precision: jax.lax.Precision | None) -> Array:
    known: dict[tuple[int, int], Array] = {}  # equal inputs share their Gram matrix

    def product(f: tuple[Array, Array], g: tuple[Array, Array]) -> Array:
        pair = (id(f[0]), id(g[0]))
        if pair not in known:
            known[pair] = gram_matrix(f[0], g[0], precision)
        other = gram_matrix(f[1], g[1], precision)
        return jnp.einsum("bts,bts->b", known[pair], other, precision=precision)

    return pairwise(stacked(uses, losses), product)


def _projected(uses: Sequence[Use], losses: int, sketch: Sketch, exact: int) -> list[Use] | None:
    """Multiplies inputs or cotangents by random signs, whichever is cheaper; None: stay exact.

    A product with signs keeps inner products on average, so in x^T d the signs may be on either
    side. It must halve the operations, because products with few columns run at half the rate.
    """
    i, o = _shape(uses)
    k = sketch.size
    rows = sum(use.x.shape[1] for use in uses)
    cotangent_rows = sum(use.x.shape[1] * len(use.cotangents) for use in uses)
    at_x = rows * i * k + min(_costs(uses, losses, k, o))
    at_d = cotangent_rows * o * k + min(_costs(uses, losses, i, k))
    if 2 * min(at_x, at_d) >= exact:
        return None
    width = i if at_x <= at_d else o
    signs = jax.random.rademacher(sketch.key, (width, k), jnp.float32) / math.sqrt(k)

    def project(x: Array) -> Array:
        return x @ signs.astype(x.dtype)

    if at_x <= at_d:
        return [use._replace(x=project(use.x)) for use in uses]
    return [use._replace(cotangents=jax.tree.map(project, use.cotangents)) for use in uses]


def stacked(uses: Sequence[Use], losses: int) -> list[tuple[Array, Array] | None]:
    """Joins, for each loss, the inputs and cotangents of all calls it reaches; None: no call.

    Args:
        uses: x [B, T, i] and cotangents [B, T, o]; T may differ.
        losses: number of losses.

    Returns:
        x [B, all T, i] and cotangents [B, all T, o] per loss; losses with the same calls share x.
    """

    def concatenated(parts: list[Array]) -> Array:
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)

    inputs: dict[tuple[int, ...], Array] = {}
    found: list[tuple[Array, Array] | None] = []
    for loss in range(losses):
        reached = tuple(n for n, use in enumerate(uses) if loss in use.cotangents)
        if reached and reached not in inputs:
            inputs[reached] = concatenated([uses[n].x for n in reached])
        cotangents = [uses[n].cotangents[loss] for n in reached]
        found.append((inputs[reached], concatenated(cotangents)) if reached else None)
    return found


def gram_matrix(x: Array, y: Array, precision: jax.lax.Precision | None = None) -> Array:
    """Multiplies [B, T, n] and [B, S, n] to [B, T, S] float32."""
    options = {"preferred_element_type": jnp.float32, "precision": precision}
    return jnp.einsum("btn,bsn->bts", x, y, **options)


def weighted(cotangents: Mapping[int, Array], scale: Array) -> Array:
    """Sums a layer's cotangents over losses, with a factor for each sample and loss.

    Args:
        cotangents: {loss: [B, ...]}.
        scale: [B, L] float32.

    Returns:
        [B, ...] in the cotangents' dtype.
    """
    total = sum(scaled(d, scale[:, loss]) for loss, d in cotangents.items())
    return total.astype(next(iter(cotangents.values())).dtype)


def weighted_sum(gradients: Sequence[Array | None], scale: Array) -> Array:
    """Computes sum_b sum_l scale[b, l] x gradients[l][b].

    Args:
        gradients: per loss [B, ...] float32 or bfloat16; None: zero.
        scale: [B, L] float32.

    Returns:
        [...] float32.
    """

    def total(factor: Array, x: Array) -> Array:
        if x.dtype == jnp.float32:
            # HIGHEST: by default, TPUs would round the terms to bfloat16.
            return jnp.tensordot(factor, x, axes=1, precision=jax.lax.Precision.HIGHEST)
        # A product would first need all of x in float32.
        return jnp.sum(scaled(x, factor), axis=0)

    return sum(total(scale[:, n], x) for n, x in enumerate(gradients) if x is not None)


def pairwise(items: Sequence[Any], product: Callable[[Any, Any], Array]) -> Array:
    """Computes [..., L, L] from a symmetric product of L items; products with None are zero."""
    count = range(len(items))
    found = {
        (n, m): product(items[n], items[m])
        for n in count
        for m in count[n:]
        if items[n] is not None and items[m] is not None
    }
    zero = jnp.zeros_like(next(iter(found.values())))
    rows = [[found.get((min(n, m), max(n, m)), zero) for m in count] for n in count]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
