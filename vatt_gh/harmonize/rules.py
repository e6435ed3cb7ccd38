"""Two uses of a parameter that need no per-sample gradients: products and lookups.

A rule defines how such a use is recorded. From the records of all uses of a parameter it computes
the samples' inner products and the gradient.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.lax import GatherScatterMode

from vatt_gh.harmonize.parameter_views import ParameterView
from vatt_gh.harmonize.products import (
    MatrixGradients,
    Sketch,
    Use,
    gram_matrix,
    pairwise,
    stacked,
    weighted,
)

Array = jax.Array


class Layer(Protocol):
    """A parameter with all its uses recorded."""

    def inner_products(self, sketch: Sketch | None) -> Array:
        """Computes inner products between the losses' gradients, [B, losses, losses] float32."""

    def gradient(self, scale: Array) -> Array:
        """Sums scale[b, l] x (gradient of sample b in loss l) over b and l, like the parameter."""


class Rule(Protocol):
    """A use of a parameter in an equation. Rules are equal if their records may be summed."""

    def data(self, operands: Sequence[Array]) -> Array:
        """Returns the data to record from the equation's operands, floating."""

    def rows(self, y: Array) -> Array:
        """Returns the equation's result in the layout of the recorded cotangent: [..., columns]."""

    def result(self, rows: Array) -> Array:
        """Inverts `rows`."""

    def layer(self, uses: Sequence[Use], losses: int, dtype: jnp.dtype) -> Layer:
        """Returns the parameter, with this dtype and all its uses."""


@dataclasses.dataclass(frozen=True)
class Product:
    """y = x @ matrix, in any order of factors and axes: a dot_general without batch axes.

    Attributes:
        view: view of the parameter as the matrix [i, o].
        precision: precision of the product, and of the matrix's gradients.
        place: index of the data among the operands: 0 or 1.
        axes: axes of the data, with summed axes last.
        summed: number of summed axes.
        shape: shape of the result.
    """

    view: ParameterView
    precision: jax.lax.Precision | None
    place: int = dataclasses.field(compare=False)
    axes: tuple[int, ...] = dataclasses.field(compare=False)
    summed: int = dataclasses.field(compare=False)
    shape: tuple[int, ...] = dataclasses.field(compare=False)

    def data(self, operands: Sequence[Array]) -> Array:
        """Implements `Rule.data`: [..., i]."""
        x = operands[self.place].transpose(self.axes)
        return x.reshape(*x.shape[: x.ndim - self.summed], self.view.result[0])

    def rows(self, y: Array) -> Array:
        """Implements `Rule.rows`: [..., o]."""
        free = len(self.axes) - self.summed
        if self.place == 1:  # the matrix's axes come first
            y = jnp.moveaxis(y, range(y.ndim - free, y.ndim), range(free))
        return y.reshape(*y.shape[:free], self.view.result[1])

    def result(self, rows: Array) -> Array:
        """Implements `Rule.result`."""
        if self.place == 0:
            return rows.reshape(self.shape)
        free, rank = len(self.axes) - self.summed, len(self.shape)
        y = rows.reshape(*rows.shape[:-1], *self.shape[: rank - free])
        return jnp.moveaxis(y, range(free), range(rank - free, rank))

    def layer(self, uses: Sequence[Use], losses: int, dtype: jnp.dtype) -> Layer:
        """Implements `Rule.layer`."""
        return _ProductLayer(self.view, MatrixGradients(uses, losses, self.precision), dtype)


class _ProductLayer:
    """See Layer."""

    def __init__(self, view: ParameterView, matrix: MatrixGradients, dtype: jnp.dtype):
        self._view, self._matrix, self._dtype = view, matrix, dtype

    def inner_products(self, sketch: Sketch | None) -> Array:
        return self._matrix.inner_products(sketch)

    def gradient(self, scale: Array) -> Array:
        return self._view.undone(self._matrix.weighted_sum(scale)).astype(self._dtype)


@dataclasses.dataclass(frozen=True)
class Lookup:
    """y = table[ids]: a gather of whole rows.

    Attributes:
        shape: shape of the table, [rows, ...].
        mode: handling of ids outside the table, see jax.lax.gather.
    """

    shape: tuple[int, ...]
    mode: GatherScatterMode

    def data(self, operands: Sequence[Array]) -> Array:
        """Implements `Rule.data`: ids [...]; ids without a derivative become the number of rows."""
        ids, rows = operands[1][..., 0], self.shape[0]
        if ids.dtype.itemsize < 4:  # may be too small for the number of rows
            ids = ids.astype(jnp.int32)
        if self.mode == GatherScatterMode.FILL_OR_DROP:
            ids = jnp.where((ids >= 0) & (ids < rows), ids, rows)
        else:
            ids = jnp.clip(ids, 0, rows - 1)
        return ids.astype(jnp.float32)

    def rows(self, y: Array) -> Array:
        """Implements `Rule.rows`: [..., size of a table row]."""
        return y.reshape(*y.shape[: y.ndim - len(self.shape) + 1], -1)

    def result(self, rows: Array) -> Array:
        """Implements `Rule.result`."""
        return rows.reshape(*rows.shape[:-1], *self.shape[1:])

    def layer(self, uses: Sequence[Use], losses: int, dtype: jnp.dtype) -> Layer:
        """Implements `Rule.layer`."""
        return _LookupLayer(self.shape, uses, losses, dtype)


class _LookupLayer:
    """See Layer."""

    def __init__(self, shape: tuple[int, ...], uses: Sequence[Use], losses: int, dtype: jnp.dtype):
        self._shape, self._uses, self._losses, self._dtype = shape, uses, losses, dtype

    def inner_products(self, sketch: Sketch | None) -> Array:
        """Sums over the rows that both gradients looked up; always exact."""
        del sketch
        matrices = [
            Use(
                use.x.reshape(len(use.x), -1, 1),
                {n: d.reshape(len(d), -1, d.shape[-1]) for n, d in use.cotangents.items()},
            )
            for use in self._uses
        ]
        rows = self._shape[0]

        def product(f: tuple[Array, Array], g: tuple[Array, Array]) -> Array:
            same = (f[0] == g[0].swapaxes(1, 2)) & (f[0] < rows)
            return jnp.einsum("bts,bts->b", same.astype(jnp.float32), gram_matrix(f[1], g[1]))

        return pairwise(stacked(matrices, self._losses), product)

    def gradient(self, scale: Array) -> Array:
        width = math.prod(self._shape[1:])
        table = jnp.zeros((self._shape[0], width), jnp.float32)
        for use in self._uses:
            d = weighted(use.cotangents, scale).astype(jnp.float32)
            ids = use.x.astype(jnp.int32).reshape(-1)
            table = table.at[ids].add(d.reshape(-1, d.shape[-1]), mode="drop")
        return table.reshape(self._shape).astype(self._dtype)
