"""What the ghost engine has to know of a type of layer: its per-sample gradients, not formed whole.

A layer's parameters other than a kernel or a table are vectors, of which a sample's gradients take
less room than its activations.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn

from vatt_gh.harmonize.kernels import (
    Kernel,
    Sketch,
    Use,
    gram_matrix,
    pairwise,
    stacked,
    weighted,
    weighted_sum,
)

Array = jax.Array


class Layer(Protocol):
    """A layer of which the inputs and the output cotangents of all calls are known."""

    def inner_products(self, sketch: Sketch | None) -> Array:
        """[B, losses, losses] float32, of the losses' gradients of all the layer's parameters."""

    def gradients(self, scale: Array) -> dict[str, Array]:
        """sum_b sum_l scale[b, l] x (gradient of sample b in loss l), like the parameters."""


class Rule(Protocol):
    """What the ghost engine knows of a type of layer, whose first argument is x."""

    def fits(self, module: nn.Module, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
        """Whether the rule knows this call of the module; `params` are the module's own."""

    def layer(self, uses: Sequence[Use], losses: int, params: Mapping[str, Array]) -> Layer:
        """A layer with these parameters and calls."""


class Linear:
    """y = x @ kernel + bias: nn.Dense, and layers that are one on their flattened kernel."""

    def fits(self, module: nn.Module, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
        """See Rule. A kernel of another size than the input asks for (nn.scan) is unknown."""
        changed = getattr(module, "dot_general", None) or getattr(module, "dot_general_cls", None)
        kernel = params.get("kernel")
        if changed or kernel is None or set(params) - {"kernel", "bias"} or len(args) != 1:
            return False
        return kernel.size == args[0].shape[-1] * kernel.shape[-1]

    def layer(self, uses: Sequence[Use], losses: int, params: Mapping[str, Array]) -> Layer:
        """See Rule."""
        return _LinearLayer(uses, losses, params)


class _LinearLayer:
    """See Layer."""

    def __init__(self, uses: Sequence[Use], losses: int, params: Mapping[str, Array]):
        self._params = params
        self._kernel = Kernel(uses, losses)
        self._biases: list[Array | None] = []  # of each loss, the samples' gradients [B, o]
        if "bias" in params:
            sums = [
                [_over_rows(u.cotangents[n]) for u in uses if n in u.cotangents]
                for n in range(losses)
            ]
            self._biases = [sum(some) if some else None for some in sums]

    def inner_products(self, sketch: Sketch | None) -> Array:
        products = self._kernel.inner_products(sketch)
        if self._biases:
            products += pairwise(self._biases, lambda a, b: jnp.sum(a * b, axis=-1))
        return products

    def gradients(self, scale: Array) -> dict[str, Array]:
        made = {"kernel": self._kernel.weighted_sum(scale)}
        if self._biases:
            made["bias"] = weighted_sum(self._biases, scale)
        own = self._params
        return {
            name: x.reshape(own[name].shape).astype(own[name].dtype) for name, x in made.items()
        }


def _over_rows(d: Array) -> Array:
    """[B, ..., o] -> [B, o] float32."""
    return jnp.sum(d, axis=tuple(range(1, d.ndim - 1)), dtype=jnp.float32)


class Lookup:
    """y = embedding[x]: nn.Embed."""

    def fits(self, module: nn.Module, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
        """See Rule."""
        del module
        return set(params) == {"embedding"} and jnp.issubdtype(args[0].dtype, jnp.integer)

    def layer(self, uses: Sequence[Use], losses: int, params: Mapping[str, Array]) -> Layer:
        """See Rule."""
        return _LookupLayer(uses, losses, params)


class _LookupLayer:
    """See Layer."""

    def __init__(self, uses: Sequence[Use], losses: int, params: Mapping[str, Array]):
        self._uses, self._losses, self._table = uses, losses, params["embedding"]

    def inner_products(self, sketch: Sketch | None) -> Array:
        """Two gradients meet in the rows of the words that they share; always exact."""
        del sketch
        factors = stacked([u._replace(x=u.x[..., None]) for u in self._uses], self._losses)

        def product(f: tuple[Array, Array], g: tuple[Array, Array]) -> Array:
            same = (f[0] == g[0].swapaxes(1, 2)).astype(jnp.float32)
            return jnp.einsum("bts,bts->b", same, gram_matrix(f[1], g[1]))

        return pairwise(factors, product)

    def gradients(self, scale: Array) -> dict[str, Array]:
        table = jnp.zeros(self._table.shape, jnp.float32)
        for use in self._uses:
            d = weighted(use.cotangents, scale).astype(jnp.float32)
            ids = use.x.astype(jnp.int32).reshape(-1)
            table = table.at[ids].add(d.reshape(-1, d.shape[-1]))
        return {"embedding": table.astype(self._table.dtype)}
