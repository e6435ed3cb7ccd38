"""Self-attention with dropout on its weights; no weight leaves the chip.

With s = scale x q k^T, p = softmax(s) and m the mask of kept weights, y = (p m / kept share) v. The
forward kernel loops over blocks of keys with a running maximum. The backward kernels recompute p
from q, k and the rows' log-sums, and m from its random key. Memory and traffic are those of q, k, v
and y, not of the T x T weights.

Source: Dao et al., FlashAttention (NeurIPS 2022), and Dao, FlashAttention-2 (2023).
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from vatt_gh.models.bits import line_bits

Array = jax.Array
Ref = Any

LOG2_E = math.log2(math.e)
# Rows and columns of weights that a kernel processes at a time; warps and stages of each.
FORWARD = {"rows": 64, "columns": 64, "warps": 4, "stages": 3}
BACKWARD_QUERY = {"rows": 64, "columns": 64, "warps": 4, "stages": 3}
BACKWARD_KEY = {"rows": 64, "columns": 64, "warps": 4, "stages": 2}


class _Settings(NamedTuple):
    """Compile-time settings of a kernel.

    Attributes:
        scale, rate, length: see `flash_attention`.
        interpret: run in the interpreter, on a machine without a GPU.
    """

    scale: float
    rate: float
    length: int
    interpret: bool


def flash_attention(
    query: Array,
    key: Array,
    value: Array,
    random: Array,
    *,
    scale: float,
    rate: float,
    length: int | None = None,
) -> Array:
    """Computes attention among the tokens of one sequence.

    Args:
        query, key, value: [T, heads, d] bfloat16 or float32; d a power of two, 16 or more.
        random: [2] uint32, data of a key from `bits.dropout_key`. The mask equals
            jax.random.bernoulli with that key, of shape [heads, length, length].
        scale: factor on the scores.
        rate: dropout rate on the weights; 0: none.
        length: tokens from here on are padding and take no part; None: there is none.

    Returns:
        [T, heads, d] of the same dtype, zeros for padding; softmax and sums are float32.
    """
    length = len(query) if length is None else length
    settings = _Settings(scale, rate, length, jax.default_backend() == "cpu")
    return _attention(query, key, value, random, settings)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attention(query: Array, key: Array, value: Array, random: Array, settings: _Settings) -> Array:
    return _forward(query, key, value, random, settings)[0]


# Separate compiled functions: a model of many layers traces and lowers them once.
@functools.partial(jax.jit, static_argnums=4)
def _forward(
    query: Array, key: Array, value: Array, random: Array, settings: _Settings
) -> tuple[Array, Array]:
    """Returns the attention, and the base-2 logarithms of the rows' sums [heads, T] float32."""
    places, heads, _ = query.shape
    sums = jax.ShapeDtypeStruct((heads, places), jnp.float32)
    inputs = (query, key, value, *_lines(random, heads, settings.length))
    return _call(_forward_kernel, inputs, (query, sums), FORWARD, "rows", settings)


def _forward_rule(
    query: Array, key: Array, value: Array, random: Array, settings: _Settings
) -> tuple[Array, tuple[Array, ...]]:
    y, log_sums = _forward(query, key, value, random, settings)
    return y, (query, key, value, random, y, log_sums)


def _backward_rule(settings: _Settings, kept: tuple[Array, ...], cotangent: Array):
    return *_backward(*kept, cotangent, settings), None


@functools.partial(jax.jit, static_argnums=7)
def _backward(query, key, value, random, y, log_sums, cotangent, settings):
    # The softmax's derivative needs the sum of p dp over a row's weights, equal to that of y dy.
    # The kernels omit the factor 1 / kept share, so it must be smaller by that share.
    row = jnp.sum(y.astype(jnp.float32) * cotangent.astype(jnp.float32), axis=-1).T
    row *= 1.0 - settings.rate
    lines = _lines(random, query.shape[1], settings.length)
    inputs = (query, key, value, *lines, cotangent, log_sums, row)
    (d_query,) = _call(_query_kernel, inputs, (query,), BACKWARD_QUERY, "rows", settings)
    d_key, d_value = _call(_key_kernel, inputs, (key, value), BACKWARD_KEY, "columns", settings)
    return d_query, d_key, d_value


_attention.defvjp(_forward_rule, _backward_rule)


def _call(
    kernel: Callable[..., None],
    inputs: tuple[Array, ...],
    outputs: tuple[Any, ...],
    tile: dict[str, int],
    over: str,
    settings: _Settings,
) -> tuple[Array, ...]:
    """Runs a kernel for each head and block of rows or columns.

    Kernels get [T, heads, d] and [heads, T or length] arrays without the heads axis.
    """
    places, heads, width = inputs[0].shape
    length = settings.length

    def spec(x: Any) -> pl.BlockSpec:
        if x.ndim == 3:
            return pl.BlockSpec((places, None, width), lambda block, head: (0, head, 0))
        if x.ndim == 2:
            return pl.BlockSpec((None, x.shape[1]), lambda block, head: (head, 0))
        return pl.BlockSpec(x.shape, lambda block, head: (0,))

    # Forward: two products of T x T x d; backward: four, two per kernel. Recomputation does not
    # count.
    cost = pl.CostEstimate(
        flops=4 * heads * length**2 * width,
        transcendentals=heads * length**2,
        bytes_accessed=sum(x.size * x.dtype.itemsize for x in (*inputs, *outputs)),
    )
    # Under jax.shard_map results vary over the devices as the queries do.
    axes = jax.typeof(inputs[0]).manual_axis_type
    return pl.pallas_call(
        functools.partial(kernel, settings, tile["rows"], tile["columns"]),
        grid=(pl.cdiv(places, tile[over]), heads),
        in_specs=[spec(x) for x in inputs],
        out_specs=[spec(x) for x in outputs],
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype, manual_axis_type=axes) for x in outputs],
        compiler_params=plgpu.CompilerParams(num_warps=tile["warps"], num_stages=tile["stages"]),
        cost_estimate=cost,
        interpret=settings.interpret,
    )(*inputs)


class _AxisRange:
    """A range along one axis of the weights.

    Args:
        start: its first position.
        size: number of positions.
        length: length of the axis; padding follows.
        whole: no position is beyond this length.
    """

    def __init__(self, start: Array | int, size: int, length: int, whole: bool = False):
        self._places = start + jnp.arange(size)
        self._slice = pl.ds(start, size)
        self.inside = None if whole else self._places < length

    def load(self, ref: Ref, other: float = 0) -> Array:
        """Loads [size, ...] of [T, ...]; positions beyond the end get `other`."""
        mask = None if self.inside is None else _for_each_row(self.inside, ref)
        return plgpu.load(self._at(ref), mask=mask, other=None if mask is None else other)

    def store(self, ref: Ref, x: Array) -> None:
        """Writes [size, ...] to [T, ...]: zeros in the padding beyond the end."""
        x = jnp.where(_for_each_row(self.inside, ref), x, 0.0).astype(ref.dtype)
        plgpu.store(self._at(ref), x, mask=_for_each_row(self._places < ref.shape[0], ref))

    def _at(self, ref: Ref) -> Ref:
        return ref.at[self._slice] if len(ref.shape) == 1 else ref.at[self._slice, :]


def _for_each_row(x: Array, ref: Ref) -> Array:
    return x if len(ref.shape) == 1 else x[:, None]


def _times(x: Array, y: Array, contract: tuple[int, int]) -> Array:
    dimensions = ((contract[:1], contract[1:]), ((), ()))
    return jax.lax.dot_general(x, y, dimensions, preferred_element_type=jnp.float32)


def _each_block(length: int, size: int, body: Callable[[Array | int, Any, bool], Any], carry: Any):
    """Runs body(start, carry, whether the block is whole) over an axis."""
    whole, count = length // size, pl.cdiv(length, size)
    carry = jax.lax.fori_loop(0, whole, lambda n, c: body(n * size, c, True), carry)
    return jax.lax.fori_loop(whole, count, lambda n, c: body(n * size, c, False), carry)


def _lines(random: Array, heads: int, length: int) -> tuple[Array, Array]:
    """Draws row and column numbers of the mask: [heads, length] and [length] uint32."""
    rows, columns = line_bits(random, heads * length, length)
    return rows.reshape(heads, length), columns


def _kept(
    down_ref: Ref, across_ref: Ref, down: _AxisRange, across: _AxisRange, rate: float
) -> Array | None:
    """Computes the mask of this block of weights, in either orientation; None: all are kept."""
    if not rate:
        return None
    row, column = down.load(down_ref, 0), across.load(across_ref, 0)
    # bernoulli compares a float made from the upper 23 bits.
    threshold = math.ceil(np.float32(1.0 - rate) * 2**23) << 9
    return row[:, None] * column[None, :] < np.uint32(threshold)


def _forward_kernel(
    settings, rows, columns, q_ref, k_ref, v_ref, rows_ref, columns_ref, y_ref, sums_ref
):  # fmt: skip
    length = settings.length
    queries = _AxisRange(pl.program_id(0) * rows, rows, length)
    q = queries.load(q_ref)

    # The running maximum is of the unscaled products; weights are powers of two.
    factor = settings.scale * LOG2_E

    def body(start, carry, whole):
        y, top, total = carry
        keys = _AxisRange(start, columns, length, whole)
        products = _times(q, keys.load(k_ref), (1, 1))
        if not whole:
            products = jnp.where(keys.inside[None, :], products, -jnp.inf)
        new_top = jnp.maximum(top, jnp.max(products, axis=1))
        weights = jnp.exp2(products * factor - (new_top * factor)[:, None])
        shrink = jnp.exp2((top - new_top) * factor)
        total = total * shrink + jnp.sum(weights, axis=1)
        mask = _kept(rows_ref, columns_ref, queries, keys, settings.rate)
        weights = weights if mask is None else jnp.where(mask, weights, 0.0)
        values = keys.load(v_ref)
        y = y * shrink[:, None] + _times(weights.astype(values.dtype), values, (1, 0))
        return y, new_top, total

    start = (
        jnp.zeros(q.shape, jnp.float32),
        jnp.full((rows,), -jnp.inf, jnp.float32),
        jnp.zeros((rows,), jnp.float32),
    )
    y, top, total = _each_block(length, columns, body, start)
    queries.store(y_ref, y / (total * (1.0 - settings.rate))[:, None])
    queries.store(sums_ref, top * factor + jnp.log2(total))


def _weights_and_derivative(scores, d_weights, log_sums, row, mask):
    """Returns the kept weights, and the derivative by the scores; both without constant factors."""
    weights = jnp.exp2(scores - log_sums)
    kept = weights if mask is None else jnp.where(mask, weights, 0.0)
    return kept, kept * d_weights - weights * row


def _query_kernel(
    settings, rows, columns,
    q_ref, k_ref, v_ref, rows_ref, columns_ref, dy_ref, sums_ref, row_ref, dq_ref,
):  # fmt: skip
    length = settings.length
    queries = _AxisRange(pl.program_id(0) * rows, rows, length)
    q, dy = queries.load(q_ref), queries.load(dy_ref)
    log_sums, row = queries.load(sums_ref, jnp.inf), queries.load(row_ref, 0.0)

    def body(start, dq, whole):
        keys = _AxisRange(start, columns, length, whole)
        k, v = keys.load(k_ref), keys.load(v_ref)
        mask = _kept(rows_ref, columns_ref, queries, keys, settings.rate)
        scores = _times(q, k, (1, 1)) * (settings.scale * LOG2_E)
        d_weights = _times(dy, v, (1, 1))
        _, d = _weights_and_derivative(scores, d_weights, log_sums[:, None], row[:, None], mask)
        if not whole:
            d = jnp.where(keys.inside[None, :], d, 0.0)
        return dq + _times(d.astype(k.dtype), k, (1, 0))

    dq = _each_block(length, columns, body, jnp.zeros(q.shape, jnp.float32))
    queries.store(dq_ref, dq * (settings.scale / (1.0 - settings.rate)))


def _key_kernel(
    settings, rows, columns,
    q_ref, k_ref, v_ref, rows_ref, columns_ref, dy_ref, sums_ref, row_ref, dk_ref, dv_ref,
):  # fmt: skip
    length = settings.length
    keys = _AxisRange(pl.program_id(0) * columns, columns, length)
    k, v = keys.load(k_ref), keys.load(v_ref)

    def body(start, carry, whole):
        dk, dv = carry
        queries = _AxisRange(start, rows, length, whole)
        q, dy = queries.load(q_ref), queries.load(dy_ref)
        # Beyond the end the log-sums are infinite, and so the weights zero.
        log_sums, row = queries.load(sums_ref, jnp.inf), queries.load(row_ref, 0.0)
        # Keys as rows, queries as columns: sums over the queries need no transposition.
        mask = _kept(columns_ref, rows_ref, keys, queries, settings.rate)
        scores = _times(k, q, (1, 1)) * (settings.scale * LOG2_E)
        d_weights = _times(v, dy, (1, 1))
        kept, d = _weights_and_derivative(scores, d_weights, log_sums[None, :], row[None, :], mask)
        dv += _times(kept.astype(dy.dtype), dy, (1, 0))
        return dk + _times(d.astype(q.dtype), q, (1, 0)), dv

    zero = jnp.zeros(k.shape, jnp.float32)
    dk, dv = _each_block(length, rows, body, (zero, zero))
    keys.store(dk_ref, dk * (settings.scale / (1.0 - settings.rate)))
    keys.store(dv_ref, dv / (1.0 - settings.rate))
