"""The `ghost` engine: harmonized gradients without any sample's gradient of the whole encoder.

One forward pass records what meets each parameter; one pullback for each loss, of cotangents alone,
gives the output cotangents; the samples' inner products come from these parameter by parameter, and
the gradients are one contraction of what was recorded: there is no further backward pass.

Parameters with a use that no rule knows have their gradients formed sample by sample, exactly.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import inner_products
from vatt_gh.harmonize.dataflow import Site
from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.engine import (
    Cotangents,
    Decide,
    Encode,
    Finish,
    Pass,
    in_microbatches,
)
from vatt_gh.harmonize.kernels import Sketch, Use
from vatt_gh.harmonize.known import known_rules, note, say_once
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.per_sample import per_sample
from vatt_gh.harmonize.recording import Slot, Trace
from vatt_gh.harmonize.trees import Path, Tree, paths_of

Array = jax.Array
Flat = dict[Path, Array]


def ghost(
    encode: Encode,
    params: Tree,
    passes: Sequence[Pass],
    *,
    losses: int,
    shared: Callable[[Path], bool],
    microbatch: int,
    sketch: int = 0,
    sketch_check: bool = False,
    key: Array | None = None,
) -> tuple[list[Tree], Finish]:
    """Encodes a batch, and makes what turns cotangents into harmonized gradients.

    Args:
        encode: features of ONE sample from params and its inputs; any function of that sample.
        params: tree of floating arrays.
        passes, losses, shared: as for `per_sample`.
        microbatch: samples that are recorded at a time; divides B; 0: all.
        sketch: random signs a kernel for unbiased estimates of its inner products; 0: exact.
        sketch_check: also finds the exact inner products, from the same passes, and with them the
            coefficients' `exact_cosine`; nothing else changes.
        key: random key of the signs, to be drawn anew every step.

    Returns:
        As `per_sample`, the same numbers.

    Raises:
        ValueError: a sketch has no key.
    """
    if sketch < 0 or (sketch and key is None):
        raise ValueError(
            f"sketch={sketch}: expected 0, or a number of random signs with key=jax.random.key(...)"
        )
    params = varying_like(params, [p.inputs for p in passes])
    flat = dict(zip(paths_of(params), jax.tree.leaves(params), strict=True))
    traces = [Trace(encode, params, jax.tree.map(lambda x: x[0], p.inputs)) for p in passes]
    if not all(trace.complete for trace in traces):
        say_once(
            "a custom derivative in the encoder closes over values that the encoder computes: all "
            "gradients are formed sample by sample, as engine='vmap' does; to have them recorded, "
            "make these values arguments of the function"
        )
        common = {"losses": losses, "shared": shared, "microbatch": microbatch}
        return per_sample(encode, params, passes, **common)
    rules = known_rules(traces)
    used = set().union(*(trace.uses for trace in traces))
    rest = {path: x for path, x in flat.items() if path in used and path not in rules}
    note(traces, flat)

    def forward(some: Sequence[Pass]) -> tuple[list[Tree], Finish]:
        recordings = [
            _Recording(trace, trace.sites(rules), flat, rest, p)
            for p, trace in zip(some, traces, strict=True)
        ]

        def finish(
            cotangents: Cotangents, decide: Decide, samples: Tree
        ) -> tuple[Tree, Coefficients]:
            uses: dict[Path, list[Use]] = {path: [] for path in rules}
            single = [{} for _ in range(losses)]  # of each loss: per-sample gradients of the rest
            for recording, given in zip(recordings, cotangents, strict=True):
                recording.pull(given, uses, single)
            layers = {
                path: rule.layer(uses[path], losses, flat[path].dtype)
                for path, rule in rules.items()
            }
            rest_gram = _rest_products(single, shared)

            def products(size: int) -> Array:
                count = len(jax.tree.leaves(some[0].inputs)[0])
                gram = jnp.zeros((count, losses, losses), jnp.float32)
                for number, (path, layer) in enumerate(layers.items()):
                    if shared(path):
                        signs = Sketch(size, jax.random.fold_in(key, number)) if size else None
                        gram += layer.inner_products(signs)
                return gram + rest_gram

            decided, scale = decide(products(sketch), samples)
            if sketch_check:
                exact = decide(products(0), samples)[0].cosine
                decided = decided._replace(exact_cosine=exact)
            made = {path: layer.gradient(scale) for path, layer in layers.items()}
            made |= _rest_gradients(single, rest, scale)
            # No pass reaches the parameters that are left.
            every = [made[p] if p in made else jnp.zeros_like(x) for p, x in flat.items()]
            return jax.tree.unflatten(jax.tree.structure(params), every), decided

        return [recording.features for recording in recordings], finish

    return in_microbatches(forward, encode, params, passes, microbatch)


class _Recording:
    """A pass that was encoded and can be pulled back.

    Args:
        trace: of the pass.
        sites: that are recorded.
        flat: all parameters.
        rest: those without a rule: every sample has copies of its own, so that the derivatives
            by these are the samples' gradients.
        way: the pass.
    """

    def __init__(self, trace: Trace, sites: Sequence[Site], flat: Flat, rest: Flat, way: Pass):
        self._losses, self._sites, self._recomputes = way.losses, sites, trace.recomputes
        size = len(jax.tree.leaves(way.inputs)[0])
        rest = {path: x for path, x in rest.items() if path in trace.uses}

        def one(slots: list[Slot], own: Flat, zero: Array, sample: Tree) -> Tree:
            moved = [x + own[path] if path in own else x for path, x in flat.items()]
            return trace.encode(moved, sample, sites, slots, zero)

        def zeros(like: Tree) -> Tree:
            made = jax.tree.map(lambda x: jnp.zeros((size, *x.shape), x.dtype), like)
            return varying_like(made, way.inputs)

        zero = zeros(jax.ShapeDtypeStruct((), jnp.float32))
        self.features, self._pullback = jax.vjp(
            lambda slots, own: jax.vmap(one)(slots, own, zero, way.inputs),
            zeros([Slot(site.x, site.y) for site in sites]),
            zeros(rest),
        )

    def pull(
        self, cotangents: Mapping[int, Tree], uses: dict[Path, list[Use]], single: list[Flat]
    ) -> None:
        """Adds this pass's uses of every layer, and its part of the rest's gradients."""
        pulled = self._pulled([cotangents[n] for n in self._losses])
        for number, site in enumerate(self._sites):
            d = {n: slots[number].y for n, (slots, _) in zip(self._losses, pulled, strict=True)}
            # The recorded data do not depend on the cotangent: the first's serve all losses.
            uses[site.path].append(Use(pulled[0][0][number].x, d))
        for loss, (_, own) in zip(self._losses, pulled, strict=True):
            for path, gradients in own.items():
                before = single[loss].get(path, 0.0)
                single[loss][path] = before + gradients

    def _pulled(self, cotangents: Sequence[Tree]) -> list[tuple[list[Slot], Flat]]:
        """What each loss's cotangent gives."""
        if not self._recomputes:
            # One by one: of arrays that hold all losses, XLA would copy each loss's part.
            return [self._pullback(cotangent) for cotangent in cotangents]
        # Together, so that what is computed anew is computed once, recorded data among it.
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *cotangents)
        axes = ([Slot(None, 0)] * len(self._sites), 0)
        slots, own = jax.vmap(self._pullback, out_axes=axes)(stacked)

        def of_loss(n: int) -> tuple[list[Slot], Flat]:
            return [Slot(s.x, s.y[n]) for s in slots], {path: x[n] for path, x in own.items()}

        return [of_loss(n) for n in range(len(cotangents))]


def _rest_products(single: Sequence[Flat], shared: Callable[[Path], bool]) -> Array | float:
    """[B, L, L] float32 inner products over the shared parameters without a rule."""
    zeros = {p: jnp.zeros_like(x) for own in single for p, x in own.items() if shared(p)}
    picked = [[own.get(path, zero) for path, zero in zeros.items()] for own in single]
    return jax.vmap(inner_products)(picked) if zeros else 0.0


def _rest_gradients(single: Sequence[Flat], rest: Flat, scale: Array) -> Flat:
    # In float32: factors may be larger than a narrower type holds.
    total = {path: jnp.zeros(x.shape, jnp.float32) for path, x in rest.items()}
    for loss, gradients in enumerate(single):
        for path, x in gradients.items():
            total[path] += jnp.tensordot(scale[:, loss], x.astype(jnp.float32), axes=1)
    return {path: x.astype(rest[path].dtype) for path, x in total.items()}
