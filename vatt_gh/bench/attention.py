"""A GPU's fused attention against the formula: microseconds per sample and layer, and errors.

Measures one layer's attention over a batch, without its projections, in bfloat16.
"""

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vatt_gh.errors import UserError
from vatt_gh.models.bits import dropout_key
from vatt_gh.models.flash import flash_attention

Array = jax.Array
Attend = Callable[..., Array]  # (query, key, value, random key) -> attention of one sample
_CALLS = 5  # consecutive calls per timing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this measurement's arguments to the command line."""
    parser.add_argument("--batch", type=int, default=64, help="samples of a batch")
    parser.add_argument(
        "--tokens", type=int, default=785, help="tokens of a sample; default: the video tower's"
    )
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--width", type=int, default=64, help="width of a head")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=7)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures with the command line's arguments.

    Args:
        arguments: the parsed command line, see `add_arguments`.

    Returns:
        {"rows": [{"way"; "forward" and "both" (with the backward pass) in microseconds per sample;
        "both_ratio" to the fused one; "errors" of the value and of the derivatives by queries,
        keys and values, relative to float32}], "device", and the arguments}.

    Raises:
        UserError: there is no GPU.
    """
    if jax.default_backend() != "gpu":
        raise UserError(
            "The fused attention cannot be measured here.",
            where=f"jax.default_backend() is {jax.default_backend()}",
            expected="gpu",
            todo="run this on a machine with a GPU, with pip install 'jax[cuda13]'",
        )
    return measure(arguments)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures like `run`, on any device: without a GPU the fused kernels run in an interpreter."""
    shape = (arguments.batch, arguments.tokens, arguments.heads, arguments.width)
    inputs = tuple(jax.random.normal(jax.random.key(0), (4, *shape), jnp.bfloat16))
    plain = jax.random.split(jax.random.key(1), arguments.batch)
    hashed = jax.vmap(lambda key: dropout_key(key, 0))(plain)
    scale, rate = arguments.width**-0.5, arguments.dropout
    formula = functools.partial(by_formula, scale=scale, rate=rate)
    ways = {
        "fused": (functools.partial(fused, scale=scale, rate=rate), hashed),
        "formula": (formula, hashed),
        "formula, JAX's own bits": (formula, plain),
    }
    few = min(2, arguments.batch)
    exact = _both(formula)(*(x[:few].astype(jnp.float32) for x in inputs), hashed[:few])
    rows = []
    for way, (attend, keys) in ways.items():
        both = jax.jit(_both(attend))
        row = {
            "way": way,
            "forward": _microseconds(jax.jit(_forward(attend)), inputs, keys, arguments.rounds),
            "both": _microseconds(both, inputs, keys, arguments.rounds),
        }
        if keys is hashed:  # other bits give another mask
            found = [x[:few] for x in both(*inputs, keys)]
            row["errors"] = [_error(x, y) for x, y in zip(found, exact, strict=True)]
        rows.append({**row, "both_ratio": row["both"] / (rows or [row])[0]["both"]})
    return {"rows": rows, "device": jax.devices()[0].device_kind, **vars(arguments)}


def by_formula(
    query: Array, key: Array, value: Array, random: Array, *, scale: float, rate: float
) -> Array:
    """Computes softmax(scale q k^T) v with dropout: [T, heads, d] each, like `flash_attention`."""
    scores = jnp.einsum("qhd,khd->hqk", query, key, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(scores * scale)
    if rate:
        kept = jax.random.bernoulli(random, 1 - rate, weights.shape)
        weights = jnp.where(kept, weights / (1 - rate), 0.0)
    return jnp.einsum("hqk,khd->qhd", weights.astype(value.dtype), value)


def fused(query: Array, key: Array, value: Array, random: Array, **options: Any) -> Array:
    """Calls `flash_attention` with a random key from `dropout_key`."""
    return flash_attention(query, key, value, jax.random.key_data(random), **options)


def _forward(attend: Attend) -> Callable[..., Array]:
    return lambda query, key, value, _, random: jax.vmap(attend)(query, key, value, random)


def _both(attend: Attend) -> Callable[..., tuple[Array, ...]]:
    def run(query: Array, key: Array, value: Array, cotangent: Array, random: Array):
        forward = lambda *x: jax.vmap(attend)(*x, random)  # noqa: E731
        y, pull = jax.vjp(forward, query, key, value)
        return y, *pull(cotangent)

    return run


def _microseconds(
    program: Callable[..., Any], inputs: tuple[Array, ...], keys: Array, rounds: int
) -> float:
    """Measures the median time per sample."""
    jax.block_until_ready(program(*inputs, keys))
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(_CALLS):
            last = program(*inputs, keys)
        jax.block_until_ready(last)
        found.append((time.perf_counter() - start) / _CALLS)
    return float(np.median(found)) * 1e6 / len(keys)


def _error(actual: Array, exact: Array) -> float:
    actual, exact = (np.asarray(x, np.float64) for x in (actual, exact))
    return float(np.linalg.norm(actual - exact) / np.linalg.norm(exact))


def show(numbers: dict[str, Any]) -> str:
    """Formats the numbers as text."""
    lines = [
        f"attention of {numbers['tokens']} tokens, {numbers['heads']} heads of "
        f"{numbers['width']}, dropout {numbers['dropout']}, on {numbers['device']}",
        f"{'microseconds a sample':26}{'forward':>9}{'both':>9}{'ratio':>7}  errors",
    ]
    for row in numbers["rows"]:
        errors = " ".join(f"{error:.1e}" for error in row.get("errors", []))
        lines.append(
            f"{row['way']:26}{row['forward']:9.1f}{row['both']:9.1f}{row['both_ratio']:7.2f}"
            f"  {errors}"
        )
    return "\n".join(lines)
