"""Checks the arguments of `harmonized_gradients`: each form has one meaning, or is a ValueError."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import errors, nnx
from flax import linen as nn

from vatt_gh.harmonize.interface import Encode
from vatt_gh.harmonize.method import Method
from vatt_gh.harmonize.trees import ParamPath, Tree, by_path, named

Array = jax.Array
Losses = Sequence[Array] | Mapping[str, Array] | Array
_NEEDS_MORE = (
    errors.InvalidRngError,
    errors.ModifyScopeVariableError,
    errors.ScopeCollectionNotFound,
    errors.ScopeVariableNotFoundError,
)
_AS_FUNCTION = (
    "give it as a function: lambda params, x: module.apply({'params': params, 'batch_stats': "
    "batch_stats}, x); random keys are inputs like others, one a sample: lambda params, sample: "
    "module.apply({'params': params}, sample[0], rngs={'dropout': sample[1]}) with inputs=(x, "
    "jax.random.split(key, len(x)))"
)


def as_function(encoder: nn.Module | Encode, params: Tree) -> Encode:
    """Turns the encoder into a function of parameters and one sample.

    Args:
        encoder: a Flax module, or such a function.
        params: parameters of the encoder.

    Returns:
        The function.

    Raises:
        ValueError: the encoder is neither, or the parameters are a module's whole variables.
    """
    if isinstance(encoder, nnx.Module):
        raise ValueError(
            "the encoder is an nnx.Module, which holds its parameters: graph, params = "
            "nnx.split(module, nnx.Param), and give lambda params, x: nnx.merge(graph, params)(x)"
        )
    if not isinstance(encoder, nn.Module):
        if isinstance(encoder, type) or not callable(encoder):
            raise ValueError(f"encoder is {encoder!r}: expected a Flax module or a function")
        return encoder
    if isinstance(params, Mapping) and isinstance(params.get("params"), Mapping):
        others = sorted(set(params) - {"params"})
        more = f"; for a module with {', '.join(others)}, {_AS_FUNCTION}" if others else ""
        raise ValueError(
            "params holds all variables of the module: expected variables['params']" + more
        )

    def encode(params: Tree, sample: Tree) -> Tree:
        try:
            return encoder.apply({"params": params}, sample)
        except _NEEDS_MORE as error:
            reason = str(error).split(" (http")[0]
            raise ValueError(
                f"{type(encoder).__name__} needs more than its parameters ({reason}): "
                f"{_AS_FUNCTION}"
            ) from error

    return encode


def as_arrays(params: Tree, shared: Callable[[ParamPath], bool]) -> Tree:
    """Checks that all parameters are arrays with a real derivative.

    Args:
        params: parameters of the encoder.
        shared: selects by path, see `harmonized_gradients`.

    Returns:
        The same tree.

    Raises:
        ValueError: there are no parameters, one is not floating, or `shared` picks none.
    """
    arrays = by_path(params)
    if not arrays:
        raise ValueError("params holds no array: expected the encoder's parameters")
    for path, x in arrays.items():
        try:
            dtype = jnp.result_type(x)
        except TypeError:
            dtype = f"a {type(x).__name__}"
        if not isinstance(dtype, jnp.dtype) or not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"{named(path)} is {dtype}: expected real floating-point parameters; keep in the "
                "function what is not trained, and split a complex one into real and imaginary part"
            )
    if not any(shared(path) for path in arrays):
        some = ", ".join(map(named, list(arrays)[:5]))
        raise ValueError(
            f"shared picks none of {len(arrays)} parameters, so that there is nothing to compare: "
            f"expected True for some of their paths ({some}, ...), each a tuple of names"
        )
    return jax.tree.map(jnp.asarray, params)


def check_functions(
    losses: Any, shared: Any, method: Any, cutoff: Any, microbatch: Any, group: Any
) -> None:
    """Refuses arguments of another kind than `harmonized_gradients` takes.

    Args:
        losses, shared, method, cutoff, microbatch, group: see `harmonized_gradients`.

    Raises:
        ValueError: names the argument and the expected value.
    """
    if not callable(losses):
        raise ValueError(f"losses is {losses!r}: expected a function of the features")
    if not callable(shared):
        raise ValueError(
            f"shared is {shared!r}: expected a function of a path, such as "
            "lambda path: path[0] == 'encoder'"
        )
    if not isinstance(method, Method):
        raise ValueError(f"method is {method!r}: expected Method(realign=..., curriculum=...)")
    try:
        number = jnp.shape(cutoff) == () and jnp.issubdtype(jnp.result_type(cutoff), jnp.number)
    except TypeError:
        number = False
    if not number:
        raise ValueError(f"cutoff is {cutoff!r}: expected one number")
    for name, value, least in (("microbatch", microbatch, 0), ("group", group, 1)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(f"{name} is {value!r}: expected a whole number, {least} or larger")


def check_features(features: Tree) -> None:
    """Rejects features without a derivative.

    Args:
        features: arrays or their shapes.

    Raises:
        ValueError: there are none, or one is not floating.
    """
    arrays = by_path(features)
    if not arrays:
        raise ValueError("the encoder returns no array: expected the features of one sample")
    for path, x in arrays.items():
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(
                f"the encoder returns {x.dtype} features ({'/'.join(path) or 'one array'}): "
                "expected floating-point ones; a mask or a length can be float32, or be computed "
                "outside of the encoder"
            )


def batch_size(inputs: Tree) -> int:
    """Finds the number of samples.

    Args:
        inputs: tree of [B, ...] arrays.

    Returns:
        B.

    Raises:
        ValueError: there is no array, or they disagree.
    """
    shapes = {"/".join(path): jnp.shape(x) for path, x in by_path(inputs).items()}
    sizes = {shape[0] if shape else None for shape in shapes.values()}
    if len(sizes) != 1 or sizes <= {None, 0}:
        shown = shapes.get("", shapes)
        raise ValueError(f"inputs have shapes {shown}: expected [B, ...] with the same B >= 1")
    return sizes.pop()


def as_list(losses: Losses, count: int) -> list[Array]:
    """Lists the single losses.

    Args:
        losses: a sequence, a dict, or one array [L, B] or [L].
        count: the number of samples B.

    Returns:
        Two or more losses.

    Raises:
        ValueError: there are fewer, or an array is ambiguous: one loss or several.
    """
    shape = getattr(losses, "shape", None)
    if isinstance(losses, Mapping):
        losses = list(losses.values())
    elif shape == () or (shape is not None and len(shape) == 1 and shape[0] == count):
        raise ValueError(
            f"losses returns one array {list(shape)} for {count} samples: expected a sequence or a "
            "dict with one array for each loss, or an array [losses, samples]"
        )
    elif shape is not None and len(shape) > 1 and shape[1] != count:
        raise ValueError(
            f"losses returns an array {list(shape)} for {count} samples: expected [losses, samples]"
        )
    elif shape is None and not isinstance(losses, Sequence):
        raise ValueError(f"losses returns {losses!r}: expected a sequence, a dict or an array")
    if len(losses) < 2:
        raise ValueError(f"{len(losses)} loss: there is no conflict without a second one")
    return [_value(number, value, count) for number, value in enumerate(losses)]


def _value(number: int, value: Any, count: int) -> Array:
    """Checks one loss: [] or [B, ...] floating."""
    try:
        value = jnp.asarray(value)
    except (TypeError, ValueError):
        value = None
    if value is None or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(
            f"losses returns something other than a floating-point array at place {number}: "
            "expected losses alone; compute other values from the features that are returned"
        )
    if value.ndim and value.shape[0] != count:
        raise ValueError(
            f"losses returns at place {number} an array {list(value.shape)} for {count} samples: "
            "expected a number, or one value for each sample"
        )
    return value


def as_mask(complete: Any, count: int) -> Array:
    """Marks the samples that have all losses.

    Args:
        complete: [B] truth values, as an array or a sequence; None: all samples have them.
        count: the number of samples B.

    Returns:
        [B] bool.

    Raises:
        ValueError: the shape or dtype is wrong.
    """
    if complete is None:
        return jnp.ones(count, bool)
    try:
        mask = jnp.asarray(complete)
    except (TypeError, ValueError):
        mask = jnp.zeros(())
    whole = mask.dtype == bool or jnp.issubdtype(mask.dtype, jnp.integer)
    if mask.shape != (count,) or not whole:
        raise ValueError(
            f"complete is {mask.dtype}{list(mask.shape)}: expected one truth value for each of "
            f"{count} samples"
        )
    return mask.astype(bool)
