"""Layer normalisation of a residual stream, with a single-pass backward kernel.

With n = (x - mean) / sqrt(variance + epsilon) and g = scale dy, the derivative by x is
(g - mean(g) - n mean(g n)) / sqrt(variance + epsilon), that by the scale the sum of n dy over the
rows, that by the bias the sum of dy. On a GPU XLA makes four passes of it, with a float32 array
between two of them; one kernel does it all, and adds the stream's own derivative.

Source: Ba et al., Layer normalization (2016).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

Array = jax.Array
Ref = Any

EPSILON = 1e-6  # the original's, in all norms
# Rows at a time, iterations per program, and elements of a row per warp at most.
ROWS, TURNS, HELD = 4, 16, 768


class StreamNorm(nn.Module):
    """Layer norm with scale and bias like nn.LayerNorm.

    Attributes:
        dtype: dtype of the normalised tokens; the sums are float32.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Returns the stream (its derivative passes through this layer) and its normalised form.

        Args:
            x: [..., N, d].

        Returns:
            x unchanged, and [..., N, d] of `dtype`.
        """
        width = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, width)
        bias = self.param("bias", nn.initializers.zeros, width)
        if self._fused(x):
            return stream_norm(x, scale, bias)
        return x, normalised(x, scale, bias, self.dtype)

    def _fused(self, x: Array) -> bool:
        """Tells whether the kernel supports this call."""
        return (
            jax.default_backend() == "gpu"
            and x.ndim == 2
            and {x.dtype, jnp.dtype(self.dtype)} == {jnp.dtype(jnp.bfloat16)}
            and x.shape[1] <= 4 * HELD
            and x.shape[1] // _power_of_two(x.shape[1]) <= 5
        )


def normalised(x: Array, scale: Array, bias: Array, dtype: jnp.dtype) -> Array:
    """Computes layer normalisation in float32.

    Args:
        x: [..., d].
        scale, bias: [d] float32.
        dtype: dtype of the result.

    Returns:
        [..., d].
    """
    x = x.astype(jnp.float32)
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    return (centred * (jax.lax.rsqrt(variance + EPSILON) * scale) + bias).astype(dtype)


def stream_norm(x: Array, scale: Array, bias: Array) -> tuple[Array, Array]:
    """Returns x unchanged, and `normalised` in its dtype; the pullback of both is one kernel.

    Args:
        x: [N, d] bfloat16 or float32.
        scale, bias: [d] float32.

    Returns:
        Both [N, d].
    """
    interpret = jax.default_backend() == "cpu"
    return _stream_norm(x, _varying_like(scale, x), _varying_like(bias, x), interpret)


def _varying_like(parameter: Array, x: Array) -> Array:
    """Makes a parameter vary as x does: so do the kernel's derivatives under jax.shard_map."""
    axes = jax.typeof(x).manual_axis_type.varying
    missing = tuple(axes - jax.typeof(parameter).manual_axis_type.varying)
    return jax.lax.pcast(parameter, missing, to="varying") if missing else parameter


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _stream_norm(x: Array, scale: Array, bias: Array, interpret: bool) -> tuple[Array, Array]:
    return x, normalised(x, scale, bias, x.dtype)


def _forward_rule(x: Array, scale: Array, bias: Array, interpret: bool):
    return _stream_norm(x, scale, bias, interpret), (x, scale)


def _backward_rule(
    interpret: bool, kept: tuple[Array, Array], cotangents: tuple[Array, Array]
) -> tuple[Array, ...]:
    return _backward(*kept, *cotangents, interpret)


# A separate compiled function: a model of many layers traces and lowers it once.
@functools.partial(jax.jit, static_argnums=4)
def _backward(
    x: Array, scale: Array, passed: Array, cotangent: Array, interpret: bool
) -> tuple[Array, ...]:
    length, width = x.shape
    count = pl.cdiv(length, ROWS * TURNS)
    warps = ROWS * pl.next_power_of_2(pl.cdiv(width, HELD))
    whole = pl.BlockSpec((length, width), lambda part: (0, 0))
    sums = pl.BlockSpec((None, width), lambda part: (part, 0))
    axes = jax.typeof(x).manual_axis_type
    partial = jax.ShapeDtypeStruct((count, width), jnp.float32, manual_axis_type=axes)
    dx, d_scale, d_bias = pl.pallas_call(
        _backward_kernel,
        grid=(count,),
        in_specs=[whole, pl.BlockSpec((width,), lambda part: (0,)), whole, whole],
        out_specs=[whole, sums, sums],
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype, manual_axis_type=axes), partial, partial],
        compiler_params=plgpu.CompilerParams(num_warps=warps, num_stages=2),
        cost_estimate=pl.CostEstimate(
            flops=0,  # this counts matrix products, see vatt_gh.flops
            transcendentals=length,
            bytes_accessed=4 * x.size * x.dtype.itemsize,
        ),
        interpret=interpret,
    )(x, scale, passed, cotangent)
    return dx, d_scale.sum(axis=0), d_bias.sum(axis=0)


_stream_norm.defvjp(_forward_rule, _backward_rule)


def _backward_kernel(x_ref, scale_ref, passed_ref, dy_ref, dx_ref, d_scale_ref, d_bias_ref):
    length, width = x_ref.shape
    # A kernel's array sizes are powers of two: rows come in several parts, as 768 = 3 x 256.
    size = _power_of_two(width)
    columns = [pl.ds(start, size) for start in range(0, width, size)]
    first = pl.program_id(0) * ROWS * TURNS

    def turn(n: Array, sums: tuple[list[Array], list[Array]]):
        start = first + n * ROWS
        rows, inside = pl.ds(start, ROWS), (start + jnp.arange(ROWS) < length)[:, None]

        def load(ref: Ref, c: Any) -> Array:
            return plgpu.load(ref.at[rows, c], mask=inside, other=0.0).astype(jnp.float32)

        x, dy = ([load(ref, c) for c in columns] for ref in (x_ref, dy_ref))
        scale = lambda c: plgpu.load(scale_ref.at[c])[None, :]  # noqa: E731
        normal, steep = _normal_form(x, width)
        g = [d * scale(c) for d, c in zip(dy, columns, strict=True)]
        along = _row_mean([d * n for d, n in zip(g, normal, strict=True)], width)
        level = _row_mean(g, width)
        for d, n, c in zip(dy, normal, columns, strict=True):
            # Loading here leaves registers free above, and room on the chip for more programs.
            dx = steep * (d * scale(c) - level - n * along) + load(passed_ref, c)
            plgpu.store(dx_ref.at[rows, c], dx.astype(dx_ref.dtype), mask=inside)
        # Rows beyond the end have dy = 0.
        d_scale = [total + d * n for total, d, n in zip(sums[0], dy, normal, strict=True)]
        return d_scale, [total + d for total, d in zip(sums[1], dy, strict=True)]

    zero = [jnp.zeros((ROWS, size), jnp.float32) for _ in columns]
    found = jax.lax.fori_loop(0, TURNS, turn, (zero, zero))
    for ref, parts in zip((d_scale_ref, d_bias_ref), found, strict=True):
        for c, part in zip(columns, parts, strict=True):
            plgpu.store(ref.at[c], jnp.sum(part, axis=0))


def _normal_form(x: list[Array], width: int) -> tuple[list[Array], Array]:
    """Computes (x - mean) / deviation, and 1 / deviation [rows, 1]."""
    mean = _row_mean(x, width)
    centred = [part - mean for part in x]
    steep = jax.lax.rsqrt(_row_mean([c * c for c in centred], width) + EPSILON)
    return [c * steep for c in centred], steep


def _power_of_two(width: int) -> int:
    """Returns the largest power of two that divides `width`."""
    return width & -width


def _row_mean(parts: list[Array], width: int) -> Array:
    """Computes the rows' means [rows, 1] over all parts [rows, columns]."""
    return sum(jnp.sum(part, axis=1, keepdims=True) for part in parts) / width
