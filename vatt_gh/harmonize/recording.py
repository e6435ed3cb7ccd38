"""Runs a Flax encoder so that the inputs and output cotangents of its layers can be seen.

What a recorded layer returns passes through `record`, an identity whose pullback hands out the
cotangent of the layer's output and, as the "derivative" by a slot, the layer's input. Both leave
through the pullback, so that recording works inside rematerialised blocks too, where a layer's
input exists in the backward pass alone.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.extend.core import Jaxpr, subjaxprs
from jax.extend.core.primitives import remat_p
from jax.interpreters.partial_eval import dce_jaxpr

from vatt_gh.harmonize.engine import Encode, Path
from vatt_gh.harmonize.rules import Rule

Array = jax.Array
Tree = Any
Rules = Mapping[type[nn.Module], Rule]

_log = logging.getLogger(__name__)
_named: set[type[nn.Module]] = set()


@dataclasses.dataclass(frozen=True)
class Site:
    """One call of a layer that has a rule.

    Attributes:
        path: of the layer in the tree of parameters.
        rule: of the layer.
        x: shape and dtype of its input, of one sample, as it is recorded.
        y: the same of its output.
    """

    path: Path
    rule: Rule
    x: jax.ShapeDtypeStruct
    y: jax.ShapeDtypeStruct


class Found(NamedTuple):
    """What one pass through the encoder does.

    Attributes:
        sites: calls of layers that have a rule, in the order in which they happen.
        reached: paths of all parameters on which the features depend.
        recomputes: whether a pullback computes parts of the forward pass anew (jax.checkpoint).
    """

    sites: list[Site]
    reached: set[Path]
    recomputes: bool


class Tape(NamedTuple):
    """Where one pass records: zeros, of one sample or of B, in the order of its sites.

    Attributes:
        slots: like the layers' inputs; their cotangents are these inputs.
        outputs: like the layers' outputs; their cotangents are those of the outputs.
    """

    slots: list[Array]
    outputs: list[Array]


@jax.custom_vjp
def record(y: Array, x: Array, slot: Array, output: Array) -> Array:
    """Returns y, with the pullback that the module's docstring describes."""
    del x, slot, output
    return y


def _record_forward(y: Array, x: Array, slot: Array, output: Array) -> tuple[Array, Array]:
    del slot, output
    return y, x


def _record_backward(x: Array, cotangent: Array) -> tuple[Array, None, Array, Array]:
    return cotangent, None, x, cotangent


record.defvjp(_record_forward, _record_backward)


def find_sites(
    encode: Encode, params: Tree, inputs: Tree, rules: Rules, plain: Sequence[type[nn.Module]]
) -> Found:
    """Lists the calls of layers that have a rule.

    A layer with a call that its rule does not know (another method, keyword arguments) has no
    site. What has parameters and no site is named in the log, once for each type of module.

    Args:
        encode: of one sample.
        params: nested dicts of arrays, named as the modules are.
        inputs: of B samples.
        rules: by the layer's type.
        plain: types that need no rule, because their parameters are small.

    Returns:
        What was found.
    """
    sites: list[Site] = []
    types: dict[Path, type[nn.Module]] = {}
    unknown: set[Path] = set()
    flat = flatten_dict(params)

    def note(next_call, args, kwargs, context):
        module, path = context.module, tuple(context.module.path)
        y = next_call(*args, **kwargs)
        types[path] = type(module)
        rule = rules.get(type(module))
        if rule is None or context.method_name == "setup":
            return y
        own = {name: x for (*above, name), x in flat.items() if tuple(above) == path}
        if context.method_name == "__call__" and not kwargs and rule.fits(module, args, own):
            x = recorded_input(args[0])
            sites.append(Site(path, rule, _shape(x), _shape(y)))
        else:
            unknown.add(path)
        return y

    def run(p: Tree, batch: Tree) -> Tree:
        with nn.intercept_methods(note):
            return encode(p, jax.tree.map(lambda x: x[0], batch))

    traced = jax.make_jaxpr(lambda flat, batch: run(unflatten_dict(flat), batch))(flat, inputs)
    _, used = dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    # A dict's leaves are in the order of its keys; the inputs' come after them.
    reached = {path for path, is_used in zip(sorted(flat), used, strict=False) if is_used}
    sites = [site for site in sites if site.path not in unknown]
    _name_the_rest(flat, types, {site.path for site in sites}, plain)
    return Found(sites, reached, _recomputes(traced.jaxpr))


def _recomputes(jaxpr: Jaxpr) -> bool:
    if any(equation.primitive is remat_p for equation in jaxpr.eqns):
        return True
    return any(_recomputes(part) for part in subjaxprs(jaxpr))


def _name_the_rest(
    flat: Mapping[Path, Array],
    types: Mapping[Path, type[nn.Module]],
    known: set[Path],
    plain: Sequence[type[nn.Module]],
) -> None:
    for path in dict.fromkeys(path[:-1] for path in flat):
        kind = types.get(path)
        if kind is None or path in known or kind in plain or kind in _named:
            continue
        _named.add(kind)
        _log.warning(
            "%s (%s) has no rule: the gradients of its parameters are formed sample by sample, "
            "exactly, with samples x parameters of memory",
            kind.__name__,
            "/".join(path),
        )


def _shape(x: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def encode_recorded(
    encode: Encode, params: Tree, sample: Tree, sites: Sequence[Site], tape: Tape
) -> Tree:
    """Encodes one sample and records at the sites.

    Args:
        encode: of one sample.
        params: as for `find_sites`.
        sample: its inputs.
        sites: of `find_sites` for the same encode.
        tape: of one sample.

    Returns:
        The features.
    """
    waiting = list(zip(sites, tape.slots, tape.outputs, strict=True))

    def note(next_call, args, kwargs, context):
        y = next_call(*args, **kwargs)
        # Calls happen in the order in which they were found.
        if not waiting or context.method_name != "__call__":
            return y
        site, slot, output = waiting[0]
        if tuple(context.module.path) != site.path:
            return y
        del waiting[0]
        return record(y, recorded_input(args[0]), slot, output)

    with nn.intercept_methods(note):
        features = encode(params, sample)
    if waiting:
        raise RuntimeError(f"the encoder did not call {'/'.join(waiting[0][0].path)} again")
    return features


def recorded_input(x: Array) -> Array:
    """A layer's input as it is recorded: integer ids become float32, which has a cotangent."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return x.astype(jnp.float32)
