"""The `ghost` engine: harmonized gradients without any sample's gradient of the whole encoder.

One forward pass records every layer's input; one pullback for each loss, of cotangents alone, gives
every layer's output cotangent; the samples' inner products come from these layer by layer, and the
gradients are one contraction of what was recorded: there is no further backward pass.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from vatt_gh.harmonize.conflict import inner_products
from vatt_gh.harmonize.devices import varying_like
from vatt_gh.harmonize.engine import (
    Cotangents,
    Decide,
    Encode,
    Finish,
    Pass,
    Path,
    in_microbatches,
)
from vatt_gh.harmonize.kernels import Sketch, Use
from vatt_gh.harmonize.method import Coefficients
from vatt_gh.harmonize.recording import Found, Rules, Tape, encode_recorded, find_sites
from vatt_gh.harmonize.rules import Layer, Linear, Lookup

Array = jax.Array
Tree = Any
Flat = dict[Path, Array]

RULES: Rules = {nn.Dense: Linear(), nn.Embed: Lookup()}
# Their parameters are vectors: a sample's gradients of them take less room than its activations.
PLAIN = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def ghost(
    encode: Encode,
    params: Tree,
    passes: Sequence[Pass],
    *,
    losses: int,
    shared: Callable[[Path], bool],
    microbatch: int,
    rules: Rules = RULES,
    plain: Sequence[type[nn.Module]] = PLAIN,
    sketch: int = 0,
    sketch_check: bool = False,
    key: Array | None = None,
) -> tuple[list[Tree], Finish]:
    """Encodes a batch, and makes what turns cotangents into harmonized gradients.

    Args:
        encode: features of ONE sample from params and its inputs; applies a Flax module to params.
        params: nested dicts of arrays, named as the modules are.
        passes, losses, shared: as for `per_sample`.
        microbatch: samples that are recorded at a time; divides B; 0: all.
        rules: for layers with large parameters, by type; others have their gradients formed sample
            by sample.
        plain: types of layers of which that is not worth a note in the log.
        sketch: random signs a layer for unbiased estimates of its inner products; 0: exact.
        sketch_check: also finds the exact inner products, from the same passes, and with them the
            coefficients' `exact_cosine`; nothing else changes.
        key: random key of the signs, to be drawn anew every step.

    Returns:
        As `per_sample`, the same numbers.
    """
    params = varying_like(params, [p.inputs for p in passes])
    flat = flatten_dict(params)
    found = [find_sites(encode, params, p.inputs, rules, plain) for p in passes]
    reached = set().union(*(way.reached for way in found))
    rule_of = {site.path: site.rule for way in found for site in way.sites}
    own_of = {path: {p[-1]: x for p, x in flat.items() if p[:-1] == path} for path in rule_of}
    rest = {path: x for path, x in flat.items() if path in reached and path[:-1] not in rule_of}
    counted = {path for path, own in own_of.items() if _all_shared(path, own, shared)}

    def forward(some: Sequence[Pass]) -> tuple[list[Tree], Finish]:
        recordings = [
            _Recording(encode, flat, rest, p, way) for p, way in zip(some, found, strict=True)
        ]

        def finish(
            cotangents: Cotangents, decide: Decide, complete: Array
        ) -> tuple[Tree, Coefficients]:
            uses: dict[Path, list[Use]] = {path: [] for path in rule_of}
            single = [{} for _ in range(losses)]  # of each loss: per-sample gradients of the rest
            for recording, own in zip(recordings, cotangents, strict=True):
                recording.pull(own, uses, single)
            layers = {
                path: rule.layer(uses[path], losses, own_of[path]) for path, rule in rule_of.items()
            }
            rest_gram = _rest_products(single, shared)

            def products(size: int) -> Array:
                gram = jnp.zeros((complete.shape[0], losses, losses), jnp.float32)
                for number, (path, layer) in enumerate(layers.items()):
                    if path in counted:
                        signs = Sketch(size, jax.random.fold_in(key, number)) if size else None
                        gram += layer.inner_products(signs)
                return gram + rest_gram

            decided = decide(products(sketch), complete)
            if sketch_check:
                exact = decide(products(0), complete).cosine
                decided = decided._replace(exact_cosine=exact)
            made = _layer_gradients(layers, decided.scale)
            made |= _rest_gradients(single, rest, decided.scale)
            # No pass reaches the parameters that are left.
            every = {p: made[p] if p in made else jnp.zeros_like(x) for p, x in flat.items()}
            return unflatten_dict(every), decided

        return [recording.features for recording in recordings], finish

    return in_microbatches(forward, encode, params, passes, microbatch)


class _Recording:
    """A pass that was encoded and can be pulled back.

    Args:
        encode: of one sample.
        flat: all parameters.
        rest: those without a rule: every sample has copies of its own, so that the derivatives
            by these are the samples' gradients.
        way: the pass.
        found: of this pass.
    """

    def __init__(self, encode: Encode, flat: Flat, rest: Flat, way: Pass, found: Found):
        sites = found.sites
        self._losses, self._sites, self._recomputes = way.losses, sites, found.recomputes
        size = len(jax.tree.leaves(way.inputs)[0])

        def zeros(shapes: Sequence[jax.ShapeDtypeStruct]) -> list[Array]:
            return [jnp.zeros((size, *s.shape), s.dtype) for s in shapes]

        def one(tape: Tape, own: Flat, sample: Tree) -> Tree:
            moved = flat | {path: flat[path] + x for path, x in own.items()}
            return encode_recorded(encode, unflatten_dict(moved), sample, sites, tape)

        tape = Tape(zeros([s.x for s in sites]), zeros([s.y for s in sites]))
        own = {path: jnp.zeros((size, *x.shape), x.dtype) for path, x in rest.items()}
        self.features, self._pullback = jax.vjp(
            lambda tape, own: jax.vmap(one)(tape, own, way.inputs),
            *varying_like((tape, own), way.inputs),
        )

    def pull(
        self, cotangents: Mapping[int, Tree], uses: dict[Path, list[Use]], single: list[Flat]
    ) -> None:
        """Adds this pass's uses of every layer, and its part of the rest's gradients."""
        pulled = self._pulled([cotangents[n] for n in self._losses])
        for place, site in enumerate(self._sites):
            d = {n: tape.outputs[place] for n, (tape, _) in zip(self._losses, pulled, strict=True)}
            # The recorded inputs do not depend on the cotangent: the first's serve all losses.
            uses[site.path].append(Use(pulled[0][0].slots[place], d))
        for loss, (_, own) in zip(self._losses, pulled, strict=True):
            for path, gradients in own.items():
                before = single[loss].get(path, 0.0)
                single[loss][path] = before + gradients

    def _pulled(self, cotangents: Sequence[Tree]) -> list[tuple[Tape, Flat]]:
        """What each loss's cotangent gives."""
        if not self._recomputes:
            # One by one: of arrays that hold all losses, XLA would copy each loss's part.
            return [self._pullback(cotangent) for cotangent in cotangents]
        # Together, so that what is computed anew is computed once, recorded inputs among it.
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *cotangents)
        tapes, own = jax.vmap(self._pullback, out_axes=(Tape(None, 0), 0))(stacked)

        def of_loss(n: int) -> tuple[Tape, Flat]:
            outputs, gradients = jax.tree.map(lambda x: x[n], (tapes.outputs, own))
            return Tape(tapes.slots, outputs), gradients

        return [of_loss(n) for n in range(len(cotangents))]


def _all_shared(path: Path, own: Mapping[str, Array], shared: Callable[[Path], bool]) -> bool:
    answers = {shared((*path, name)) for name in own}
    if len(answers) > 1:
        raise ValueError(f"{'/'.join(path)}: some of the layer's parameters are shared, some not")
    return answers.pop()


def _rest_products(single: Sequence[Flat], shared: Callable[[Path], bool]) -> Array | float:
    """[B, L, L] float32 inner products over the shared parameters without a rule."""
    picked = [[x for path, x in own.items() if shared(path)] for own in single]
    return jax.vmap(inner_products)(picked) if picked[0] else 0.0


def _layer_gradients(layers: Mapping[Path, Layer], scale: Array) -> Flat:
    return {
        (*path, name): x
        for path, layer in layers.items()
        for name, x in layer.gradients(scale).items()
    }


def _rest_gradients(single: Sequence[Flat], rest: Flat, scale: Array) -> Flat:
    total = {path: jnp.zeros_like(x) for path, x in rest.items()}
    for loss, gradients in enumerate(single):
        for path, x in gradients.items():
            total[path] += jnp.tensordot(scale[:, loss].astype(x.dtype), x, axes=1)
    return total
