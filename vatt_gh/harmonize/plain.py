"""The ordinary gradient in microbatches: what reaches one loss alone, or is not harmonized."""

from collections.abc import Sequence
from typing import Any

import jax

from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.engine import Cotangents, Encode, Finish, Pass, in_microbatches

Tree = Any


def plain(
    encode: Encode, params: Tree, passes: Sequence[Pass], *, microbatch: int
) -> tuple[list[Tree], Finish]:
    """Encodes a batch, and makes what turns cotangents into ordinary gradients.

    Args:
        encode, params, passes, microbatch: as for `per_sample`.

    Returns:
        As `per_sample`; no sample is decided upon: the second half takes None in place of `decide`
        and `samples`, and returns None in place of coefficients.
    """

    params = varying_like(params, [p.inputs for p in passes])

    def forward(some: Sequence[Pass]) -> tuple[list[Tree], Finish]:
        inputs = [p.inputs for p in some]
        features, pullback = jax.vjp(
            lambda p: [jax.vmap(encode, in_axes=(None, 0))(p, x) for x in inputs], params
        )

        def finish(cotangents: Cotangents, decide: None, samples: None) -> tuple[Tree, None]:
            totals = [jax.tree.map(lambda *x: sum(x), *own.values()) for own in cotangents]
            totals = [
                jax.tree.map(lambda c, h: c.astype(h.dtype), total, h)
                for total, h in zip(totals, features, strict=True)
            ]
            return pullback(totals)[0], None

        return features, finish

    return in_microbatches(forward, encode, params, passes, microbatch)
