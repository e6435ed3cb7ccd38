"""Applies the method through an engine: batch and cotangents -> harmonized sum.

Inner products are squares: for a gradient of 1e-20 or 1e20 they leave float32's range, although
the gradient does not. Very small or large cotangents are therefore first divided by a size: that
of (features x their cotangents), the change of the loss for a relative change of the features.
Sizes are powers of two, so the division is exact.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.groups import InGroups
from vatt_gh.harmonize.interface import Cotangents, Encode, Engine, Finish, Pass, Request
from vatt_gh.harmonize.method import Coefficients, Method
from vatt_gh.harmonize.samples import in_parts, scaled_losses
from vatt_gh.harmonize.trees import Tree

Array = jax.Array
_EXPONENTS = 126  # 2**126 and 2**-126 are normal numbers of float32
# Cotangents between these sizes stay unchanged, because a layer's own pullback may clip them.
# (A gradient of 2**-20 has a square of 1e-12, far above the smallest float32.)
_SMALLEST, _LARGEST = 2.0**-20, 2.0**20


class Forward(NamedTuple):
    """An encoded batch that waits for its losses; see `encoded`.

    Attributes:
        features: a tree of [B, ...] for each pass.
        losses: number of losses.
        group: number of samples that share one decision.
        finish: the engine's second half.
    """

    features: list[Tree]
    losses: int
    group: int
    finish: Finish

    def harmonized(
        self,
        cotangents: Cotangents,
        method: Method,
        cutoff: Array | float,
        complete: Array,
        update: Cotangents | None = None,
    ) -> tuple[Tree, Coefficients]:
        """Sums scale[b, l] x (gradient of sample b in loss l) over b and l, by the method's scale.

        Args:
            cotangents: cotangents of the features; see `Cotangents`.
            method: the harmonization method.
            cutoff: [] threshold of the curriculum on the cosine, or the share that it drops.
            complete: [B] bool, see Method; one incomplete sample makes its group incomplete.
            update: cotangents of the gradients to sum, if decisions come from `cotangents` alone;
                costs their backward passes too.

        Returns:
            The sum, like the parameters, not divided by the mean weight; and the coefficients.
        """
        size = _together(jnp.max, _sizes(self.features, cotangents, self.losses), self.group)
        complete = _together(jnp.all, complete, self.group)
        unit = [scaled_losses(given, 1.0 / size) for given in cotangents]

        def decide(gram: Array, samples: tuple[Array, Array]) -> tuple[Coefficients, Array]:
            complete, size = samples
            decided = method(gram, complete, cutoff, size)
            return decided, decided.scale * size

        total, decided = self.finish(unit, decide, (complete, size))
        if update is not None:
            total, _ = self.finish(update, lambda gram, fixed: fixed, (decided, decided.scale))
        return total, decided


def encoded(
    engine: Engine,
    encode: Encode,
    params: Tree,
    passes: Sequence[Pass],
    request: Request,
    group: int = 1,
) -> Forward:
    """Encodes a batch; an engine harmonizes its gradients once the losses are known.

    Args:
        engine: compares and sums gradients.
        encode, params, passes, request: see `Engine.run`.
        group: number of neighbouring samples that share one decision; divides B.

    Returns:
        The features, and the state for `Forward.harmonized`.

    Raises:
        ValueError: see `Engine.run`.
    """
    engine = engine if group == 1 else InGroups(engine, group)
    features, finish = engine.run(encode, params, passes, request)
    return Forward(features, request.losses, group, finish)


def _together(reduce: Callable[..., Array], x: Array, group: int) -> Array:
    """Reduces over groups: [B, ...] with equal values for all samples of a group."""
    if group == 1:
        return x
    return jnp.repeat(reduce(in_parts(x, group), axis=1), group, axis=0)


def _sizes(features: Sequence[Tree], cotangents: Cotangents, losses: int) -> Array:
    """Returns [B, L] float32: 1, or a power of two near a loss's size where that is far from 1.

    Without a finite size it is 1, so that non-finite values pass through.
    """
    seen = [_peak(h) for h in features]
    narrow = any(x.dtype == jnp.float16 for x in jax.tree.leaves(features))
    sizes = []
    for n in range(losses):
        parts = [(_peak(c[n]), h) for c, h in zip(cotangents, seen, strict=True) if n in c]
        alone = jnp.max(jnp.stack([peak for peak, _ in parts]), axis=0)
        size = jnp.max(jnp.stack([peak * h for peak, h in parts]), axis=0)
        size = jnp.where((size > 0) & jnp.isfinite(size), size, alone)
        if narrow:  # quotients must stay below the largest float16
            size = jnp.maximum(size, alone / 2**14)
        far = (size > 0) & jnp.isfinite(size) & ((size < _SMALLEST) | (size > _LARGEST))
        _, exponent = jnp.frexp(jnp.where(far, size, 0.5))  # 0.5 has the exponent 0
        sizes.append(jnp.ldexp(jnp.float32(1.0), jnp.clip(exponent, -_EXPONENTS, _EXPONENTS)))
    return jnp.stack(sizes, axis=1)


def _peak(tree: Tree) -> Array:
    """Finds the largest absolute value of each sample, [B] float32."""
    peaks = [
        jnp.max(jnp.abs(x.astype(jnp.float32)).reshape(len(x), -1), axis=1, initial=0.0)
        for x in jax.tree.leaves(tree)
    ]
    return jnp.max(jnp.stack(peaks), axis=0)
