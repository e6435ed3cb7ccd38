"""Per-sample gradients of single layers, without forming them where that costs more.

Of a layer's calls the inputs x and the cotangents of the outputs are known. A Dense kernel's
gradient is x^T d for one sample, with x [T, i] and d [T, o], and the inner product of two of them,
for the cotangents a and b of two losses, is

    <x^T a, x^T b> = sum_ts (x x^T)_ts (a b^T)_ts        Gram form, T x T
                   = sum_io (x^T a)_io (x^T b)_io        direct form, i x o, reduced at once

whichever costs fewer operations. All calls of a layer stand one after the other along T, so that
products between different calls are counted.

Sources: Goodfellow, Efficient per-example gradient computations (2015); Li et al., Large language
models can be strong differentially private learners (ICLR 2022), ghost clipping.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn

Array = jax.Array


class Use(NamedTuple):
    """One call of a layer on B samples.

    Attributes:
        x: [B, ...], its input.
        cotangents: {loss: [B, ...]}, of its output; losses that do not reach it are absent.
    """

    x: Array
    cotangents: dict[int, Array]


class Sketch(NamedTuple):
    """Random signs in place of exact inner products.

    Attributes:
        size: signs a row; the error falls with its root.
        key: random key, a layer's own.
    """

    size: int
    key: Array


class Rule(Protocol):
    """What the ghost engine knows of a type of layer, whose first argument is x."""

    def fits(self, module: nn.Module, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
        """Whether the rule knows this call of the module; `params` are the module's own."""

    def inner_products(
        self, uses: Sequence[Use], losses: int, params: Mapping[str, Array], sketch: Sketch | None
    ) -> Array:
        """[B, losses, losses] float32, of the losses' gradients of all the layer's parameters."""

    def gradients(
        self, uses: Sequence[Use], scale: Array, params: Mapping[str, Array]
    ) -> dict[str, Array]:
        """sum_b sum_l scale[b, l] x (gradient of sample b in loss l), like `params`."""


class Linear:
    """y = x @ kernel + bias: nn.Dense, and layers that are one on their flattened kernel."""

    def fits(self, module: nn.Module, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
        """See Rule. A kernel of another size than the input asks for (nn.scan) is unknown."""
        changed = getattr(module, "dot_general", None) or getattr(module, "dot_general_cls", None)
        kernel = params.get("kernel")
        if changed or kernel is None or set(params) - {"kernel", "bias"} or len(args) != 1:
            return False
        return kernel.size == args[0].shape[-1] * kernel.shape[-1]

    def inner_products(
        self, uses: Sequence[Use], losses: int, params: Mapping[str, Array], sketch: Sketch | None
    ) -> Array:
        """See Rule."""
        # Inputs are multiplied in the dtype of the cotangents.
        uses = [u._replace(x=u.x.astype(next(iter(u.cotangents.values())).dtype)) for u in uses]
        factors = _stacked(uses, losses)
        products = _kernel_products(factors, sketch)
        if "bias" in params:
            sums = [f and jnp.sum(f[1], axis=1, dtype=jnp.float32) for f in factors]
            products += _pairwise(sums, lambda a, b: jnp.sum(a * b, axis=-1))
        return products

    def gradients(
        self, uses: Sequence[Use], scale: Array, params: Mapping[str, Array]
    ) -> dict[str, Array]:
        """See Rule."""
        made = {"kernel": 0.0, "bias": 0.0}
        for use in uses:
            d = weighted(use.cotangents, scale)
            d = d.reshape(-1, d.shape[-1])
            x = use.x.astype(d.dtype).reshape(-1, use.x.shape[-1])
            made["kernel"] += jnp.einsum("ti,to->io", x, d, preferred_element_type=jnp.float32)
            made["bias"] += jnp.sum(d, axis=0, dtype=jnp.float32)
        return {name: made[name].reshape(p.shape).astype(p.dtype) for name, p in params.items()}


class Lookup:
    """y = embedding[x]: nn.Embed."""

    def fits(self, module: nn.Module, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
        """See Rule."""
        del module
        return set(params) == {"embedding"} and jnp.issubdtype(args[0].dtype, jnp.integer)

    def inner_products(
        self, uses: Sequence[Use], losses: int, params: Mapping[str, Array], sketch: Sketch | None
    ) -> Array:
        """See Rule; two gradients meet in the rows of the words that they share."""
        del params, sketch
        factors = _stacked([u._replace(x=u.x[..., None]) for u in uses], losses)

        def product(f: tuple[Array, Array], g: tuple[Array, Array]) -> Array:
            same = (f[0] == g[0].swapaxes(1, 2)).astype(jnp.float32)
            return jnp.einsum("bts,bts->b", same, _gram(f[1], g[1]))

        return _pairwise(factors, product)

    def gradients(
        self, uses: Sequence[Use], scale: Array, params: Mapping[str, Array]
    ) -> dict[str, Array]:
        """See Rule."""
        table = jnp.zeros(params["embedding"].shape, jnp.float32)
        for use in uses:
            d = weighted(use.cotangents, scale).astype(jnp.float32)
            ids = use.x.astype(jnp.int32).reshape(-1)
            table = table.at[ids].add(d.reshape(-1, d.shape[-1]))
        return {"embedding": table.astype(params["embedding"].dtype)}


def weighted(cotangents: Mapping[int, Array], scale: Array) -> Array:
    """Sum over losses of a layer's cotangents, each sample and loss with its factor.

    Args:
        cotangents: {loss: [B, ...]}.
        scale: [B, L] float32.

    Returns:
        [B, ...] of the cotangents' dtype.
    """
    total = 0.0
    for loss, d in cotangents.items():
        total += scale[:, loss].reshape(-1, *[1] * (d.ndim - 1)) * d.astype(jnp.float32)
    return total.astype(next(iter(cotangents.values())).dtype)


# Of one loss: x [B, T, i] and cotangents [B, T, o] of all calls that it reaches; None: none.
_Factor = tuple[Array, Array] | None


def _stacked(uses: Sequence[Use], losses: int) -> list[_Factor]:
    """Of each loss; losses that reach the same calls share one array of inputs."""

    def rows(parts: list[Array]) -> Array:
        flat = [p.reshape(p.shape[0], -1, p.shape[-1]) for p in parts]
        return flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis=1)

    inputs: dict[tuple[int, ...], Array] = {}
    factors: list[_Factor] = []
    for loss in range(losses):
        reached = tuple(n for n, use in enumerate(uses) if loss in use.cotangents)
        if reached and reached not in inputs:
            inputs[reached] = rows([uses[n].x for n in reached])
        cotangents = [uses[n].cotangents[loss] for n in reached]
        factors.append((inputs[reached], rows(cotangents)) if reached else None)
    return factors


def _kernel_products(factors: Sequence[_Factor], sketch: Sketch | None) -> Array:
    """[B, L, L] float32 inner products of the kernel's gradients."""
    tokens = [f[0].shape[1] for f in factors if f is not None]
    i, o = next((f[0].shape[-1], f[1].shape[-1]) for f in factors if f is not None)
    if sketch is not None:
        # The random signs may stand on the side of x or on that of the cotangents.
        k = sketch.size
        exact = min(_costs(tokens, i, o))
        at_x = max(tokens) * i * k + min(_costs(tokens, k, o))
        at_d = sum(tokens) * o * k + min(_costs(tokens, i, k))
        if min(at_x, at_d) < exact:
            side, width = (0, i) if at_x <= at_d else (1, o)
            signs = jax.random.rademacher(sketch.key, (width, k), jnp.float32) / math.sqrt(k)
            factors = _projected(factors, side, signs)
            i, o = (k, o) if side == 0 else (i, k)
    gram, direct = _costs(tokens, i, o)
    return _by_gram(factors) if gram < direct else _direct(factors)


def _by_gram(factors: Sequence[_Factor]) -> Array:
    known: dict[tuple[int, int], Array] = {}  # Gram matrices of the same inputs are the same

    def product(f: tuple[Array, Array], g: tuple[Array, Array]) -> Array:
        pair = (id(f[0]), id(g[0]))
        if pair not in known:
            known[pair] = _gram(f[0], g[0])
        return jnp.einsum("bts,bts->b", known[pair], _gram(f[1], g[1]))

    return _pairwise(factors, product)


def _costs(tokens: Sequence[int], i: int, o: int) -> tuple[int, int]:
    """Operations a sample of the Gram and of the direct form.

    The Gram matrix of x is the same for all pairs of losses that reach the same calls.
    """
    pairs = [s * t for n, s in enumerate(tokens) for t in tokens[n:]]
    return max(pairs) * i + sum(pairs) * o, sum(tokens) * i * o


def _projected(factors: Sequence[_Factor], side: int, signs: Array) -> list[_Factor]:
    """The factors with their inputs (side 0) or cotangents (1) as products with random signs."""
    known: dict[int, Array] = {}
    made: list[_Factor] = []
    for factor in factors:
        parts = None
        if factor is not None:
            x = factor[side]
            if id(x) not in known:
                known[id(x)] = x @ signs.astype(x.dtype)
            parts = (known[id(x)], factor[1]) if side == 0 else (factor[0], known[id(x)])
        made.append(parts)
    return made


def _gram(x: Array, y: Array) -> Array:
    """[B, T, n], [B, S, n] -> [B, T, S] float32."""
    return jnp.einsum("btn,bsn->bts", x, y, preferred_element_type=jnp.float32)


def _direct(factors: Sequence[_Factor]) -> Array:
    """Forms each sample's gradients and reduces them at once, some samples at a time."""
    where = [n for n, f in enumerate(factors) if f is not None]
    present = [factors[n] for n in where]

    def one(sample: list[tuple[Array, Array]]) -> Array:
        formed = [
            jnp.einsum("ti,to->io", x, d, preferred_element_type=jnp.float32) for x, d in sample
        ]
        return jnp.stack([jnp.vdot(formed[n], formed[m]) for n, m in pairs])

    pairs = [(n, m) for n in range(len(where)) for m in range(n + 1)]
    # As many at a time as take no more memory than the layer's inputs and cotangents do.
    size = present[0][0].shape[0]
    held = sum(x[0].size + d[0].size for x, d in present)
    formed = sum(x.shape[-1] * d.shape[-1] for x, d in present)
    parts = math.ceil(size / max(1, size * held // formed))
    products = jax.lax.map(one, present, batch_size=math.ceil(size / parts))
    full = jnp.zeros((size, len(factors), len(factors)), jnp.float32)
    for place, (n, m) in enumerate(pairs):
        value = products[:, place]
        full = full.at[:, where[n], where[m]].set(value).at[:, where[m], where[n]].set(value)
    return full


def _pairwise(items: Sequence[Any], product: Callable[[Any, Any], Array]) -> Array:
    """[B, L, L] from a symmetric product of two items; what an absent item meets is zero."""
    found = {
        (n, m): product(items[n], items[m])
        for n in range(len(items))
        for m in range(n, len(items))
        if items[n] is not None and items[m] is not None
    }
    zero = jnp.zeros_like(next(iter(found.values())))
    count = range(len(items))
    rows = [[found.get((min(n, m), max(n, m)), zero) for m in count] for n in count]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
