"""Runs an encoder from its trace, and records its layers' inputs and output cotangents.

The result of a recorded equation passes through `record`, an identity whose pullback returns the
result's cotangent and the data, as the "derivative" by a slot. Both leave through the pullback, so
recording also works inside rematerialised blocks, where a layer's input exists only in the
backward pass. In a loop every turn has its slot: turns are rows of the layer's input.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var, jaxprs_in_params, primitives
from jax.interpreters.partial_eval import dce_jaxpr

from vatt_gh.harmonize.dataflow import INSIDE, Place, Site, Uses, inner_jaxpr, uses_of
from vatt_gh.harmonize.interface import Encode
from vatt_gh.harmonize.trees import ParamPath, Tree, paths_of

Array = jax.Array
_CUSTOM = {primitives.custom_jvp_call_p, primitives.custom_vjp_call_p}


class Slot(NamedTuple):
    """Slot of one recorded site: zeros, for one sample or for B; in a loop, [turns, ...].

    Attributes:
        x: shaped like the recorded data; its cotangent is these data.
        y: shaped like the result; its cotangent is the result's.
    """

    x: Array
    y: Array


@jax.custom_vjp
def record(y: Array, x: Array, slot: Slot) -> Array:
    """Returns y, with the pullback described in the module's docstring."""
    del x, slot
    return y


def _record_forward(y: Array, x: Array, slot: Slot) -> tuple[Array, Array]:
    del slot
    return y, x


def _record_backward(x: Array, cotangent: Array) -> tuple[Array, None, Slot]:
    return cotangent, None, Slot(x, cotangent)


record.defvjp(_record_forward, _record_backward)


class Trace:
    """Trace of an encoder on one sample.

    Args:
        encode: encodes one sample.
        params: parameters of the encoder.
        sample: the sample's inputs, arrays or shapes.

    Attributes:
        uses: uses of each parameter on which the features depend.
        recomputes: whether a pullback recomputes parts of the forward pass (jax.checkpoint).
        complete: whether the encoder can be evaluated from its trace. It cannot if a custom
            derivative closes over values the encoder computes: no trace holds them.
    """

    uses: Uses
    recomputes: bool
    complete: bool

    def __init__(self, encode: Encode, params: Tree, sample: Tree):
        traced, shapes = jax.make_jaxpr(encode, return_shape=True)(params, sample)
        self._features = jax.tree.structure(shapes)
        used = [True] * len(traced.jaxpr.outvars)
        self._jaxpr, _ = dce_jaxpr(traced.jaxpr, used, instantiate=True)
        self._constants = traced.consts
        self.uses = uses_of(self._jaxpr, paths_of(params))
        equations = list(_all_equations(self._jaxpr))
        self.recomputes = any(e.primitive is primitives.remat_p for e in equations)
        self.complete = not any(_closes_over_values(e) for e in equations if e.primitive in _CUSTOM)

    def sites(self, paths: Mapping[ParamPath, Any]) -> list[Site]:
        """Lists the sites of some parameters that have only recorded uses."""
        return [site for path in paths for site in self.uses.get(path, [])]

    def encode(
        self,
        params: Sequence[Array],
        sample: Tree,
        sites: Sequence[Site],
        slots: Sequence[Slot],
        zero: Array,
    ) -> Tree:
        """Encodes one sample, and records at some sites.

        Args:
            params: leaves of the parameters.
            sample: its inputs.
            sites: sites of this trace.
            slots: slots of these sites, for one sample.
            zero: [] float32, 0. Makes a result that is the same for all samples depend on the
                sample; without it vmap would return the cotangents summed over samples.

        Returns:
            The features.
        """
        recorder = _Recorder({site.place: (n, site) for n, site in enumerate(sites)}, zero)
        inputs = [*params, *jax.tree.leaves(sample)]
        features = recorder.run(self._jaxpr, self._constants, inputs, (), dict(enumerate(slots)))
        return jax.tree.unflatten(self._features, features)


class _Recorder:
    """Evaluates traces equation by equation, and records at the sites."""

    def __init__(self, sites: Mapping[Place, tuple[int, Site]], zero: Array):
        self._sites, self._zero = sites, zero
        self._around = {place[:n] for place in sites for n in range(1, len(place))}

    def run(
        self,
        jaxpr: Jaxpr,
        constants: Sequence[Array],
        inputs: Sequence[Array],
        place: Place,
        slots: Mapping[int, Slot],
    ) -> list[Array]:
        """Evaluates a trace; `slots` holds the slots of its sites, by number."""
        known: dict[Var, Array] = dict(zip(jaxpr.constvars, constants, strict=True))
        known |= zip(jaxpr.invars, inputs, strict=True)

        def value(atom: Var | Literal) -> Array:
            return atom.val if isinstance(atom, Literal) else known[atom]

        for number, equation in enumerate(jaxpr.eqns):
            operands, here = [value(atom) for atom in equation.invars], (*place, number)
            with equation.ctx.manager, _scope(equation):
                if here in self._around:
                    found = self._inside(equation, operands, here, slots)
                else:
                    found = _evaluated(equation, operands)
                if here in self._sites:
                    found = [self._recorded(found[0], operands, here, slots)]
            known |= zip(equation.outvars, found, strict=True)
        return [value(atom) for atom in jaxpr.outvars]

    def _recorded(
        self, y: Array, operands: Sequence[Array], place: Place, slots: Mapping[int, Slot]
    ) -> Array:
        number, site = self._sites[place]
        rows = site.rule.rows(y + self._zero.astype(y.dtype))
        return site.rule.result(record(rows, site.rule.data(operands), slots[number]))

    def _inside(
        self,
        equation: JaxprEqn,
        operands: Sequence[Array],
        place: Place,
        slots: Mapping[int, Slot],
    ) -> list[Array]:
        """Evaluates an equation with inner sites."""
        jaxpr, params = inner_jaxpr(equation), equation.params
        constants = getattr(params[INSIDE[equation.primitive]], "consts", ())
        inner = {n: slots[n] for at, (n, _) in self._sites.items() if at[: len(place)] == place}

        def run(inputs: Sequence[Array], inner: Mapping[int, Slot]) -> list[Array]:
            return self.run(jaxpr, constants, inputs, place, inner)

        if equation.primitive is primitives.remat_p:
            settings = {name: params[name] for name in ("policy", "prevent_cse")}
            return jax.checkpoint(run, **settings)(operands, inner)
        if equation.primitive is not primitives.scan_p:
            return run(operands, inner)
        count, carried = params["num_consts"], params["num_consts"] + params["num_carry"]

        def turn(carry: list[Array], cut: tuple[list[Array], Mapping[int, Slot]]):
            pieces, inner = cut
            found = run([*operands[:count], *carry, *pieces], inner)
            return found[: carried - count], found[carried - count :]

        settings = {name: params[name] for name in ("length", "reverse", "unroll")}
        carry, stacked = jax.lax.scan(
            turn, list(operands[count:carried]), (list(operands[carried:]), inner), **settings
        )
        return [*carry, *stacked]


def _scope(equation: JaxprEqn) -> contextlib.AbstractContextManager:
    """Opens a scope with the equation's name: profiles show the module of each operation."""
    name = str(equation.source_info.name_stack)
    return jax.named_scope(name) if name else contextlib.nullcontext()


def _evaluated(equation: JaxprEqn, operands: Sequence[Array]) -> list[Array]:
    primitive = equation.primitive
    found = primitive.bind(*operands, **primitive.get_bind_params(equation.params))
    return list(found) if primitive.multiple_results else [found]


def _all_equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Yields the equations of a trace and of all its inner traces."""
    for equation in jaxpr.eqns:
        yield equation
        for part in jaxprs_in_params(equation.params):
            yield from _all_equations(part)


def _closes_over_values(equation: JaxprEqn) -> bool:
    """Tells whether a custom derivative's rule uses traced values that are not its operands.

    If it is differentiated alone, these are constants that no trace of the encoder can supply.
    """
    real = [jnp.issubdtype(atom.aval.dtype, jnp.floating) for atom in equation.invars]

    def differentiated(*operands: Array) -> Tree:
        def run(*moved: Array) -> list[Array]:
            rest = iter(moved)
            return _evaluated(
                equation, [next(rest) if r else x for r, x in zip(real, operands, strict=True)]
            )

        results, pull = jax.vjp(run, *(x for r, x in zip(real, operands, strict=True) if r))
        return results, pull(results)

    operands = [jax.ShapeDtypeStruct(a.aval.shape, a.aval.dtype) for a in equation.invars]
    try:
        alone = jax.make_jaxpr(differentiated)(*operands)
    except jax.errors.UnexpectedTracerError:
        return True
    except (TypeError, ValueError):  # it needs more than shapes; actual use will tell
        return False
    return any(isinstance(x, jax.core.Tracer) for x in alone.consts)
