"""Compares the ghost engine with vmap on a model and its data, before a long run uses it."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from vatt_gh.harmonize.arguments import Losses, as_function
from vatt_gh.harmonize.front import harmonized_gradients
from vatt_gh.harmonize.ghost import Ghost
from vatt_gh.harmonize.interface import Encode
from vatt_gh.harmonize.known import reasons
from vatt_gh.harmonize.method import Method
from vatt_gh.harmonize.recording import Trace
from vatt_gh.harmonize.trees import ParamPath, Tree, named, paths_of
from vatt_gh.harmonize.vmap import Vmap

# Both parts of the method, without a threshold that rounding could cross.
_SMOOTH = Method(realign=True, curriculum=True, soft_temperature=0.5)
_OPTIONS = ("attribution", "complete", "cutoff", "microbatch", "shared")
_FLOOR = 1e-3  # share of the whole gradient's norm: anything smaller may be a rounded zero


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Differences between the ghost engine and vmap.

    Attributes:
        differences: |ghost - vmap| / |vmap| of each parameter's gradient; |vmap| is at least a
            thousandth of the whole gradient's norm.
        cosine: largest difference of a sample's cosine.
        formed: parameters whose gradients the ghost engine forms sample by sample, and why.
    """

    differences: dict[ParamPath, float]
    cosine: float
    formed: dict[ParamPath, str]

    @property
    def worst(self) -> ParamPath:
        """The parameter that differs most; NaN counts as the largest difference."""
        apart = self.differences
        return max(apart, key=lambda path: (math.isnan(apart[path]), apart[path]))

    def __str__(self) -> str:
        lines = [
            f"largest difference of a gradient: {self.differences[self.worst]:.1e} "
            f"({named(self.worst)}), of a cosine: {self.cosine:.1e}"
        ]
        lines += [f"formed sample by sample: {named(p)} {why}" for p, why in self.formed.items()]
        return "\n".join(lines)


def compare_engines(
    encoder: nn.Module | Encode,
    params: Tree,
    inputs: Tree,
    losses: Callable[[Tree], Losses],
    **options: Any,
) -> Comparison:
    """Compares the engines on given inputs; a few samples are enough.

    The engines round differently: differences are about 1e-6 in float32, and about 1e-2 in
    bfloat16. Much larger ones mean a bug in this package, or an encoder whose pullback is not
    linear in the cotangent.

    Args:
        encoder, params, inputs, losses: see `harmonized_gradients`, but outside jit.
        **options: attribution, complete, cutoff, microbatch, shared: see `harmonized_gradients`.

    Returns:
        The differences.

    Raises:
        ValueError: an argument is a tracer of jit, an option is not listed above, or see
            `harmonized_gradients`.
    """
    others = sorted(set(options) - set(_OPTIONS))
    if others:
        raise ValueError(f"{', '.join(others)}: expected options of {', '.join(_OPTIONS)}")
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((params, inputs))):
        raise ValueError("compare_engines reports numbers: call it outside of jax.jit")

    @jax.jit
    def found(params: Tree, inputs: Tree) -> list[tuple[Tree, jax.Array]]:
        results = [
            harmonized_gradients(
                encoder, params, inputs, losses, method=_SMOOTH, engine=engine, **options
            )
            for engine in (Ghost(), Vmap())
        ]
        return [(result.gradients, result.coefficients.cosine) for result in results]

    ghost, vmap = jax.device_get(found(params, inputs))
    pairs = list(zip(jax.tree.leaves(ghost[0]), jax.tree.leaves(vmap[0]), strict=True))
    sizes = [float(np.linalg.norm(np.float64(expected).ravel())) for _, expected in pairs]
    least = max(_FLOOR * float(np.linalg.norm(sizes)), np.finfo(np.float32).tiny)
    apart = [float(np.linalg.norm((np.float64(a) - np.float64(b)).ravel())) for a, b in pairs]
    ratios = [error / max(size, least) for error, size in zip(apart, sizes, strict=True)]
    sample = jax.tree.map(lambda x: x[0], inputs)
    trace = Trace(as_function(encoder, params), params, sample)
    return Comparison(
        dict(zip(paths_of(params), ratios, strict=True)),
        float(np.max(np.abs(ghost[1] - vmap[1]))),
        reasons([trace]),
    )
