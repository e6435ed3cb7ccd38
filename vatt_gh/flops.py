"""Counts the operations of a function's matrix products from its trace, without running it."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr


def count_flops(function: Callable[..., Any], *args: Any) -> int:
    """Counts operations of a function's matrix products; a multiply-add counts as two.

    Counts only operations that reach the results, for each turn of a loop and each recomputation
    (remat). Of several branches, the most expensive counts. Elementwise operations (norms, GELU,
    softmax, the optimizer) are left out: in these models less than a hundredth.

    Args:
        function: function of arrays; traced once.
        *args: trees of arrays or of their shapes (jax.ShapeDtypeStruct).

    Returns:
        The count, for all samples in the arguments.

    Raises:
        ValueError: a loop with an unknown number of turns holds matrix products, or there is a
            convolution, which is not counted.
    """
    return count_traced(jax.make_jaxpr(function)(*args))


def count_traced(traced: ClosedJaxpr) -> int:
    """Counts like `count_flops`, for an existing trace, such as jax.jit(f).trace(x).jaxpr."""
    used, _ = dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    return _count(used)


def _count(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        inner = [_count(part) for part in jaxprs_in_params(equation.params)]
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            depth = math.prod(shape[axis] for axis in contracted)
            total += 2 * depth * math.prod(equation.outvars[0].aval.shape)
        elif name == "conv_general_dilated":
            raise ValueError("convolutions are not counted")
        elif name == "pallas_call":
            # A handwritten kernel: its author gives the cost of its products.
            total += equation.params["cost_estimate"].flops
        elif name == "scan":
            total += equation.params["length"] * sum(inner)
        elif name == "cond":
            total += max(inner)
        elif name == "while" and sum(inner):
            raise ValueError("a loop of unknown length holds matrix products")
        else:
            total += sum(inner)
    return total
