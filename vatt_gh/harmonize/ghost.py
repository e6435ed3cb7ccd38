"""The `ghost` engine: harmonized gradients without per-sample gradients of the whole encoder.

One forward pass records the data that meet each parameter. One pullback per loss, of cotangents
alone, gives the output cotangents. The inner products are computed from both, parameter by
parameter, and the gradients are one contraction of them, without a further backward pass.

For parameters with a use that no rule covers, gradients are formed sample by sample, exactly.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp

from vatt_gh.harmonize.conflict import inner_products
from vatt_gh.harmonize.dataflow import Site
from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.interface import (
    Cotangents,
    Decide,
    Encode,
    Finish,
    Pass,
    Request,
    Shared,
    in_microbatches,
)
from vatt_gh.harmonize.known import known_rules, note, say_once
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.products import Sketch, Use, weighted_sum
from vatt_gh.harmonize.recording import Slot, Trace
from vatt_gh.harmonize.trees import ParamPath, Tree, by_path, tree_bytes
from vatt_gh.harmonize.vmap import Vmap

Array = jax.Array
Flat = dict[ParamPath, Array]


@dataclasses.dataclass(frozen=True)
class Ghost:
    """See the module, and `Engine`; gives the same numbers as `Vmap`.

    Attributes:
        sketch: random signs per layer for unbiased estimates of its inner products; 0: exact.
        sketch_check: also computes the exact inner products, from the same passes, for the
            coefficients' `exact_cosine`; nothing else changes.

    Raises:
        ValueError: the sketch is negative, or there is no sketch to check.
    """

    sketch: int = 0
    sketch_check: bool = False
    # Otherwise XLA copies both operands of the per-sample bfloat16 products.
    token_multiple: ClassVar[int] = 8

    def __post_init__(self):
        if not isinstance(self.sketch, int) or self.sketch < 0:
            raise ValueError(f"sketch={self.sketch!r}: expected a whole number, 0 or more")
        if self.sketch_check and not self.sketch:
            raise ValueError("sketch_check=True without a sketch: there is nothing to check")

    def run(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> tuple[list[Tree], Finish]:
        """Implements `Engine.run`; `request.microbatch` samples are recorded at a time.

        Raises:
            ValueError: a sketch has no key; use a new key at every step.
        """
        if self.sketch and request.key is None:
            raise ValueError(
                f"sketch={self.sketch} draws signs: expected a key, such as jax.random.key(step)"
            )
        params = varying_like(params, [p.inputs for p in passes])
        flat = by_path(params)
        traces = [Trace(encode, params, jax.tree.map(lambda x: x[0], p.inputs)) for p in passes]
        if not all(trace.complete for trace in traces):
            say_once(
                "a custom derivative in the encoder closes over values that the encoder computes: "
                "all gradients are formed sample by sample, as engine='vmap' does; to have them "
                "recorded, make these values arguments of the function"
            )
            return Vmap().run(encode, params, passes, request)
        losses, shared = request.losses, request.shared
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
                uses: dict[ParamPath, list[Use]] = {path: [] for path in rules}
                formed = [{} for _ in range(losses)]  # per loss: samples' gradients
                for recording, given in zip(recordings, cotangents, strict=True):
                    recording.pull(given, uses, formed)
                layers = {
                    path: rule.layer(uses[path], losses, flat[path].dtype)
                    for path, rule in rules.items()
                }
                rest_gram = _rest_products(formed, shared)

                def products(size: int) -> Array:
                    gram = jnp.zeros((some[0].size, losses, losses), jnp.float32)
                    for number, (path, layer) in enumerate(layers.items()):
                        if shared(path):
                            gram += layer.inner_products(_signs(size, request.key, number))
                    return gram + rest_gram

                decided, scale = decide(products(self.sketch), samples)
                if self.sketch_check:
                    exact = decide(products(0), samples)[0].cosine
                    decided = decided._replace(exact_cosine=exact)
                made = {path: layer.gradient(scale) for path, layer in layers.items()}
                made |= _rest_gradients(formed, rest, scale)
                # No pass reaches the remaining parameters.
                every = [made[p] if p in made else jnp.zeros_like(x) for p, x in flat.items()]
                return jax.tree.unflatten(jax.tree.structure(params), every), decided

            return [recording.features for recording in recordings], finish

        return in_microbatches(forward, encode, params, passes, request.microbatch)

    def held_bytes(
        self, encode: Encode, params: Tree, passes: Sequence[Pass], request: Request
    ) -> int:
        """Implements `Engine.held_bytes`: layers' inputs, and outputs' cotangents for each loss."""
        total = 0
        for way in passes:
            trace = Trace(encode, params, way.inputs)
            for site in trace.sites(known_rules([trace])):
                total += tree_bytes(site.x) + len(way.losses) * tree_bytes(site.y)
        return total


def _signs(size: int, key: Array | None, layer: int) -> Sketch | None:
    """Draws the random signs of a layer; None without a sketch."""
    return Sketch(size, jax.random.fold_in(key, layer)) if size else None


class _Recording:
    """An encoded pass that can be pulled back.

    Args:
        trace: trace of the pass.
        sites: sites to record.
        flat: all parameters.
        rest: parameters without a rule: every sample has its own copies, so that the derivatives
            by these are the samples' gradients.
        way: the pass.
    """

    def __init__(self, trace: Trace, sites: Sequence[Site], flat: Flat, rest: Flat, way: Pass):
        self._losses, self._sites, self._recomputes = way.losses, sites, trace.recomputes
        rest = {path: x for path, x in rest.items() if path in trace.uses}

        def one(slots: list[Slot], copies: Flat, zero: Array, sample: Tree) -> Tree:
            moved = [x + copies[path] if path in copies else x for path, x in flat.items()]
            return trace.encode(moved, sample, sites, slots, zero)

        def zeros(like: Tree) -> Tree:
            made = jax.tree.map(lambda x: jnp.zeros((way.size, *x.shape), x.dtype), like)
            return varying_like(made, way.inputs)

        zero = zeros(jax.ShapeDtypeStruct((), jnp.float32))
        self.features, self._pullback = jax.vjp(
            lambda slots, copies: jax.vmap(one)(slots, copies, zero, way.inputs),
            zeros([Slot(site.x, site.y) for site in sites]),
            zeros(rest),
        )

    def pull(
        self, cotangents: Mapping[int, Tree], uses: dict[ParamPath, list[Use]], formed: list[Flat]
    ) -> None:
        """Adds this pass's uses of every layer, and its part of the formed gradients."""
        pulled = self._pulled([cotangents[n] for n in self._losses])
        for number, site in enumerate(self._sites):
            d = {n: slots[number].y for n, (slots, _) in zip(self._losses, pulled, strict=True)}
            # The recorded data do not depend on the cotangent: those of the first loss serve all.
            uses[site.path].append(Use(pulled[0][0][number].x, d))
        for loss, (_, gradients) in zip(self._losses, pulled, strict=True):
            for path, x in gradients.items():
                formed[loss][path] = formed[loss].get(path, 0.0) + x

    def _pulled(self, cotangents: Sequence[Tree]) -> list[tuple[list[Slot], Flat]]:
        """Pulls back each loss's cotangent."""
        if not self._recomputes:
            # One by one: from arrays that hold all losses, XLA would copy each loss's part.
            return [self._pullback(cotangent) for cotangent in cotangents]
        # Together, so that recomputation, including the recorded data, is done once.
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *cotangents)
        axes = ([Slot(None, 0)] * len(self._sites), 0)
        slots, gradients = jax.vmap(self._pullback, out_axes=axes)(stacked)

        def of_loss(n: int) -> tuple[list[Slot], Flat]:
            return [Slot(s.x, s.y[n]) for s in slots], {p: x[n] for p, x in gradients.items()}

        return [of_loss(n) for n in range(len(cotangents))]


def _rest_products(formed: Sequence[Flat], shared: Shared) -> Array | float:
    """Computes inner products over the shared parameters without a rule, [B, L, L] float32."""
    zeros = {p: jnp.zeros_like(x) for flat in formed for p, x in flat.items() if shared(p)}
    picked = [[flat.get(path, zero) for path, zero in zeros.items()] for flat in formed]
    return jax.vmap(inner_products)(picked) if zeros else 0.0


def _rest_gradients(formed: Sequence[Flat], rest: Flat, scale: Array) -> Flat:
    total = {path: weighted_sum([g.get(path) for g in formed], scale) for path in rest}
    return {
        path: jnp.broadcast_to(total[path], x.shape).astype(x.dtype) for path, x in rest.items()
    }
