"""Finds every use of each parameter of an encoder, in the trace of one sample.

A trace lists everything an encoder computes, however it was written: modules, plain functions, and
an inner vmap, scan or grad all become ordinary equations. The ghost engine knows two uses of a
parameter that need no per-sample gradients: the matrix of a product with data, and the table of a
lookup. Views (reshapes, transposes, casts) may precede them. Any other use makes the engine form
the parameter's gradients sample by sample: nothing is assumed about unknown uses.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, primitives
from jax.lax import GatherScatterMode

from vatt_gh.harmonize.parameter_views import ParameterView
from vatt_gh.harmonize.rules import Lookup, Product, Rule
from vatt_gh.harmonize.trees import ParamPath

# Place of an equation: its number in the trace, then in that equation's inner trace, and so on.
Place = tuple[int, ...]

# Equations with an inner trace in which parameters can be followed: {equation: name of the trace}.
INSIDE = {
    primitives.jit_p: "jaxpr",
    primitives.closed_call_p: "call_jaxpr",
    primitives.remat_p: "jaxpr",
    primitives.scan_p: "jaxpr",
}
_SAME = {primitives.copy_p, primitives.sharding_constraint_p, primitives.name_p}
# Operations that combine a parameter with data element by element, or broadcast it.
_BESIDE = {
    primitives.add_p,
    primitives.sub_p,
    primitives.mul_p,
    primitives.div_p,
    primitives.broadcast_in_dim_p,
}
_GATHER_MODES = {
    GatherScatterMode.FILL_OR_DROP,
    GatherScatterMode.CLIP,
    GatherScatterMode.PROMISE_IN_BOUNDS,
}
_IDS_IN_FLOAT32 = 2**24  # recorded ids are float32, which is exact for integers up to here


class Site(NamedTuple):
    """An equation that uses a parameter in a way that a rule covers.

    Attributes:
        path: path of the parameter.
        place: place of the equation.
        rule: rule for this use.
        x: shape and dtype of the recorded data of one sample that meet the parameter.
        y: the same for the result.
    """

    path: ParamPath
    place: Place
    rule: Rule
    x: jax.ShapeDtypeStruct
    y: jax.ShapeDtypeStruct


class Other(NamedTuple):
    """A use that no rule covers.

    Attributes:
        reason: the kind of use, for the log.
        small: whether the parameter is added to, multiplied with, joined to or looked up as data of
            at least its size, so that the samples' gradients take no more memory than these.
    """

    reason: str
    small: bool


Uses = dict[ParamPath, list[Site | Other]]


class _Seen(NamedTuple):
    """A variable that is a view of a parameter."""

    path: ParamPath
    view: ParameterView


_DATA = "data"  # a variable that depends on the sample
_Origin = _Seen | str | None  # None: a constant, or computed from parameters alone


def uses_of(jaxpr: Jaxpr, paths: Sequence[ParamPath]) -> Uses:
    """Lists the uses of each parameter.

    Args:
        jaxpr: an encoder's trace on one sample, without dead code; its first inputs are parameters.
        paths: paths of these parameters.

    Returns:
        {path: uses}; without parameters that are unused, or used only behind a stop_gradient.
    """
    walk = _Walk()
    views = [
        _Seen(path, ParameterView(v.aval.shape))
        for path, v in zip(paths, jaxpr.invars, strict=False)
    ]
    data = [_DATA] * (len(jaxpr.invars) - len(views))
    for known in walk.through(jaxpr, [*views, *data], (), ()):
        walk.note(known, Other("is a result of the encoder", False))
    return walk.uses


class _Walk:
    """Follows parameters through a trace and collects `uses`."""

    def __init__(self):
        self.uses: Uses = {}

    def note(self, known: _Origin, use: Site | Other) -> None:
        """Adds a use if the variable is known to be a parameter."""
        if isinstance(known, _Seen):
            self.uses.setdefault(known.path, []).append(use)

    def through(
        self, jaxpr: Jaxpr, inputs: Sequence[_Origin], place: Place, turns: tuple[int, ...]
    ) -> list[_Origin]:
        """Finds what is known about a trace's results.

        Args:
            jaxpr: the trace.
            inputs: what is known about its inputs.
            place: place of the equation that holds it.
            turns: lengths of the enclosing loops.
        """
        known: dict[Var, _Origin] = dict(zip(jaxpr.invars, inputs, strict=True))

        def of(atom: Var | Literal) -> _Origin:
            return None if isinstance(atom, Literal) else known.get(atom)

        for number, equation in enumerate(jaxpr.eqns):
            given = [of(atom) for atom in equation.invars]
            found = self._equation(equation, given, (*place, number), turns)
            known |= zip(equation.outvars, found, strict=True)
        return [of(atom) for atom in jaxpr.outvars]

    def _equation(
        self, equation: JaxprEqn, given: list[_Origin], place: Place, turns: tuple[int, ...]
    ) -> list[_Origin]:
        """Finds what is known about an equation's results, and notes its uses of parameters."""
        results = [_DATA if _DATA in given else None] * len(equation.outvars)
        if not any(isinstance(known, _Seen) for known in given):
            return results
        if equation.primitive is primitives.stop_gradient_p:
            return results
        if equation.primitive in INSIDE:
            return self._inside(equation, given, place, turns)
        seen = _view_of(equation, given[0])
        if seen is not None:
            return [seen]
        for number, known in enumerate(given):
            if isinstance(known, _Seen):
                site = _site(equation, given, number, place, turns)
                self.note(known, site or _other(equation, given, number))
        return results

    def _inside(
        self, equation: JaxprEqn, given: list[_Origin], place: Place, turns: tuple[int, ...]
    ) -> list[_Origin]:
        if equation.primitive is not primitives.scan_p:
            return self.through(inner_jaxpr(equation), given, place, turns)
        same = equation.params["num_consts"]
        for known in given[same:]:
            self.note(known, Other("is carried through or cut into pieces by a loop", False))
        # Values that change between turns count as data: this affects only the size in a note.
        inputs = [*given[:same], *[_DATA] * len(given[same:])]
        turns = (*turns, equation.params["length"])
        for known in self.through(inner_jaxpr(equation), inputs, place, turns):
            self.note(known, Other("is a result of a loop", False))
        return [_DATA] * len(equation.outvars)


def inner_jaxpr(equation: JaxprEqn) -> Jaxpr:
    """Returns the inner trace of an equation of INSIDE."""
    inner = equation.params[INSIDE[equation.primitive]]
    return inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner


def _view_of(equation: JaxprEqn, known: _Origin) -> _Seen | None:
    """Returns the result of an equation on a parameter, if it is a view of the parameter."""
    primitive, params = equation.primitive, equation.params
    if not isinstance(known, _Seen):
        return None
    before, after = equation.invars[0].aval, equation.outvars[0].aval
    view = known.view
    if primitive is primitives.convert_element_type_p:
        real = jnp.issubdtype(after.dtype, jnp.floating)
        return known if real else None
    if primitive in _SAME:
        return known
    if primitive is primitives.transpose_p:
        return known._replace(view=view.transposed(params["permutation"]))
    if primitive is primitives.broadcast_in_dim_p:
        row_major = before.size == after.size  # it adds axes of length one
    else:
        keeps_order = primitive is primitives.reshape_p and params["dimensions"] is None
        row_major = keeps_order or primitive is primitives.squeeze_p
    return known._replace(view=view.reshaped(after.shape)) if row_major else None


def _site(
    equation: JaxprEqn, given: list[_Origin], number: int, place: Place, turns: tuple[int, ...]
) -> Site | None:
    """Returns an equation's use of the parameter that is operand `number`, if a rule covers it."""
    known, result = given[number], equation.outvars[0].aval
    if not jnp.issubdtype(result.dtype, jnp.floating):
        return None
    if equation.primitive is primitives.dot_general_p:
        rule = _product(equation, given, number)
    elif equation.primitive is primitives.gather_p and number == 0:
        rule = _lookup(equation, known)
    else:
        rule = None
    if rule is None:
        return None

    def recorded(function, *operands) -> jax.ShapeDtypeStruct:
        shape = jax.eval_shape(function, *operands)
        return jax.ShapeDtypeStruct((*turns, *shape.shape), shape.dtype)

    x = recorded(lambda *operands: rule.data(operands), *[v.aval for v in equation.invars])
    return Site(known.path, place, rule, x, recorded(rule.rows, result))


def _product(equation: JaxprEqn, given: list[_Origin], number: int) -> Product | None:
    summed, batched = equation.params["dimension_numbers"]
    matrix, data = (equation.invars[n].aval for n in (number, 1 - number))
    if batched[0] or not jnp.issubdtype(data.dtype, jnp.floating):
        return None
    if matrix.size == 0 or data.size == 0:
        return None
    # Of two parameters, the larger is the matrix; the other's gradients are formed per sample.
    if isinstance(given[1 - number], _Seen) and (matrix.size, number) < (data.size, 1 - number):
        return None
    rows, last = tuple(summed[number]), tuple(summed[1 - number])
    columns = tuple(a for a in range(matrix.ndim) if a not in rows)
    free = tuple(a for a in range(data.ndim) if a not in last)
    view = given[number].view.matrix(rows, columns)
    precision = equation.params["precision"]
    if isinstance(precision, tuple):  # one for each factor
        precision = max((p for p in precision if p), key=lambda p: p.value, default=None)
    if not isinstance(precision, jax.lax.Precision | None):  # an algorithm of one platform
        return None
    result = equation.outvars[0].aval.shape
    return Product(view, precision, 1 - number, (*free, *last), len(last), result)


def _lookup(equation: JaxprEqn, known: _Seen) -> Lookup | None:
    """Finds a lookup of whole rows in a table that is larger than the result."""
    params, (table, ids) = equation.params, [v.aval for v in equation.invars]
    numbers, result = params["dimension_numbers"], equation.outvars[0].aval
    whole_rows = (
        numbers.collapsed_slice_dims == numbers.start_index_map == (0,)
        and not numbers.operand_batching_dims
        and numbers.offset_dims == tuple(range(ids.ndim - 1, result.ndim))
        and params["slice_sizes"] == (1, *table.shape[1:])
    )
    if not whole_rows or known.view.steps or params["mode"] not in _GATHER_MODES:
        return None
    if table.shape[0] >= _IDS_IN_FLOAT32 or result.size >= table.size:
        return None
    return Lookup(table.shape, params["mode"])


def _other(equation: JaxprEqn, given: list[_Origin], number: int) -> Other:
    """Describes a use without a rule."""
    primitive, data = equation.primitive, _DATA in given
    size, result = equation.invars[number].aval.size, equation.outvars[0].aval.size
    beside = primitive in _BESIDE and (result > size or (result == size and data))
    joined = primitive is primitives.concatenate_p and data
    looked_up = primitive is primitives.gather_p and result >= size
    return Other(f"is used by {primitive.name}", beside or joined or looked_up)
