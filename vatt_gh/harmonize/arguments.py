"""What `harmonized_gradients` takes, as it takes it: one meaning for each form, or a ValueError."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import errors, nnx
from flax import linen as nn

from vatt_gh.harmonize.engine import Encode
from vatt_gh.harmonize.trees import Path, Tree, named, paths_of

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
    """The encoder as a function of parameters and one sample.

    Args:
        encoder: a Flax module, or such a function.
        params: of the encoder.

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
        if not callable(encoder):
            raise ValueError(
                f"encoder is a {type(encoder).__name__}: expected a Flax module or a function"
            )
        return encoder
    if isinstance(params, Mapping) and isinstance(params.get("params"), Mapping):
        others = sorted(set(params) - {"params"})
        more = f"; it has {', '.join(others)} too: {_AS_FUNCTION}" if others else ""
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


def check_params(params: Tree, shared: Callable[[Path], bool]) -> None:
    """Refuses parameters without a real derivative, and a choice of none of them.

    Args:
        params: of the encoder.
        shared: by path, see `harmonized_gradients`.

    Raises:
        ValueError: there are no parameters, one is not floating, or `shared` picks none.
    """
    paths = paths_of(params)
    for path, x in zip(paths, jax.tree.leaves(params), strict=True):
        dtype = jnp.result_type(x)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"{named(path)} is {dtype}: expected real floating-point parameters; what is not "
                "trained belongs into the function, a complex one into its real and imaginary part"
            )
    if not any(shared(path) for path in paths):
        some = ", ".join(map(named, paths[:5])) or "none"
        raise ValueError(
            f"shared picks none of {len(paths)} parameters, so that there is nothing to compare: "
            f"expected True for some of their paths ({some}, ...), each a tuple of names"
        )


def batch_size(inputs: Tree) -> int:
    """The number of samples.

    Args:
        inputs: tree of [B, ...] arrays.

    Returns:
        B.

    Raises:
        ValueError: there is no array, or they disagree.
    """
    leaves = jax.tree.leaves(inputs)
    shapes = {named(path): jnp.shape(x) for path, x in zip(paths_of(inputs), leaves, strict=True)}
    sizes = {shape[0] if shape else None for shape in shapes.values()}
    if len(sizes) != 1 or sizes <= {None, 0}:
        raise ValueError(f"inputs have shapes {shapes}: expected [B, ...] with the same B >= 1")
    return sizes.pop()


def as_list(losses: Losses, count: int) -> list[Array]:
    """The losses one by one.

    Args:
        losses: a sequence, a dict, or one array [L, B] or [L].
        count: the number of samples B.

    Returns:
        Two or more.

    Raises:
        ValueError: there are fewer, or an array may be one loss or several.
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
    values = [jnp.asarray(value) for value in losses]
    if len(values) < 2:
        raise ValueError(f"{len(values)} loss: there is no conflict without a second one")
    return values


def as_mask(complete: Any, count: int) -> Array:
    """Which samples have all losses.

    Args:
        complete: [B] of truth values, as an array or a sequence; None: all have.
        count: the number of samples B.

    Returns:
        [B] bool.

    Raises:
        ValueError: it has another shape.
    """
    if complete is None:
        return jnp.ones(count, bool)
    mask = jnp.asarray(complete).astype(bool)
    if mask.shape != (count,):
        raise ValueError(
            f"complete has the shape {list(mask.shape)}: expected one truth value for each of "
            f"{count} samples"
        )
    return mask
