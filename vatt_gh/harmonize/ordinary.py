"""The ordinary gradient, without harmonization, in microbatches."""

from collections.abc import Callable, Sequence

import jax

from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.interface import Cotangents, Encode, Finish, Pass, in_microbatches
from vatt_gh.harmonize.trees import Tree

PullTogether = Callable[[Cotangents], Tree]


def ordinary(
    encode: Encode, params: Tree, passes: Sequence[Pass], *, microbatch: int
) -> tuple[list[Tree], PullTogether]:
    """Encodes a batch, and returns a function from cotangents to the ordinary gradient.

    Args:
        encode, params, passes, microbatch: see `Engine.run`.

    Returns:
        The features of each pass [B, ...], and a function from cotangents to the gradient of the
        summed losses, a tree like params.
    """
    params = varying_like(params, [p.inputs for p in passes])

    def forward(some: Sequence[Pass]) -> tuple[list[Tree], Finish]:
        inputs = [p.inputs for p in some]
        features, pullback = jax.vjp(
            lambda p: [jax.vmap(encode, in_axes=(None, 0))(p, x) for x in inputs], params
        )

        def finish(cotangents: Cotangents, *nothing_decided: tuple) -> tuple[Tree, tuple]:
            totals = [jax.tree.map(lambda *x: sum(x), *by_loss.values()) for by_loss in cotangents]
            totals = [
                jax.tree.map(lambda c, h: c.astype(h.dtype), total, h)
                for total, h in zip(totals, features, strict=True)
            ]
            return pullback(totals)[0], ()

        return features, finish

    features, finish = in_microbatches(forward, encode, params, passes, microbatch)
    return features, lambda cotangents: finish(cotangents, (), ())[0]
