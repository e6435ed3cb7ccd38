"""Decides upon samples whatever the size of their losses, and makes the harmonized sum.

Inner products are squares: of a gradient of 1e-20 or 1e20 they leave float32's range, although the
gradient does not. So a sample's cotangents that are very small or large are divided by their own
size first. Sizes are powers of two, which change no digit.
"""

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.engine import Cotangents, Finish
from vatt_gh.harmonize.method import Coefficients, Method
from vatt_gh.harmonize.trees import Tree

Array = jax.Array
_EXPONENTS = 126  # 2**126 and 2**-126 are normal numbers of float32
# Between these sizes cotangents stay as they are: a layer's own pullback may clip them.
_SMALLEST, _LARGEST = 2.0**-20, 2.0**20


def harmonized_sum(
    finish: Finish,
    cotangents: Cotangents,
    method: Method,
    gamma: Array | float,
    complete: Array,
    losses: int,
) -> tuple[Tree, Coefficients]:
    """sum_b sum_l scale[b, l] x (gradient of sample b in loss l), with the method's coefficients.

    Args:
        finish: an engine's second half.
        cotangents: of the features of each pass.
        method: of harmonization.
        gamma: threshold of the curriculum.
        complete: [B] bool, see Method.
        losses: how many there are.

    Returns:
        The sum, like the parameters, not divided by the mean weight; and the coefficients.
    """
    size = _sizes(cotangents, losses)
    unit = [
        {n: jax.tree.map(lambda x, n=n: _divided(x, size[:, n]), c) for n, c in given.items()}
        for given in cotangents
    ]

    def decide(gram: Array, samples: tuple[Array, Array]) -> tuple[Coefficients, Array]:
        complete, size = samples
        decided = method(gram, complete, gamma, size)
        return decided, decided.scale * size

    return finish(unit, decide, (complete, size))


def _sizes(cotangents: Cotangents, losses: int) -> Array:
    """[B, L] float32: 1, or a power of two near the largest entry where that is far from 1.

    What is not finite must show: its size is 1.
    """
    sizes = []
    for n in range(losses):
        parts = [x for given in cotangents if n in given for x in jax.tree.leaves(given[n])]
        peaks = [jnp.max(jnp.abs(x.reshape(len(x), -1)), axis=1, initial=0.0) for x in parts]
        peak = jnp.max(jnp.stack([p.astype(jnp.float32) for p in peaks]), axis=0)
        far = (peak > 0) & jnp.isfinite(peak) & ((peak < _SMALLEST) | (peak > _LARGEST))
        _, exponent = jnp.frexp(jnp.where(far, peak, 0.5))  # 0.5 has the exponent 0
        sizes.append(jnp.ldexp(jnp.float32(1.0), jnp.clip(exponent, -_EXPONENTS, _EXPONENTS)))
    return jnp.stack(sizes, axis=1)


def _divided(x: Array, size: Array) -> Array:
    factor = (1.0 / size).reshape(-1, *[1] * (x.ndim - 1))
    return (x.astype(jnp.float32) * factor).astype(x.dtype)
