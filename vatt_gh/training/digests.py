"""Digests of a checkpoint's arrays and metadata, which reveal changes after writing.

Arrays are digested where they are, on the devices, so that saving copies nothing for it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Tree = Any
_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}
_STEP = np.uint32(0x9E3779B9)  # from place to place; odd, so that 2^32 places differ
META_DIGEST, ARRAYS = "digest", "arrays"  # in a checkpoint's metadata


class Damaged(Exception):
    """A checkpoint is not as it was written; the text says how."""


def names_of(tree: Tree) -> dict[str, Any]:
    """Names the arrays of a tree by path, such as 'params/towers/video/...'.

    A class's attribute and a key of that name have the same path.
    """

    def name(key: Any) -> str:
        return str(next(getattr(key, a) for a in ("key", "name", "idx") if hasattr(key, a)))

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(map(name, path)): leaf for path, leaf in leaves}


def digests_of(arrays: Mapping[str, Any]) -> dict[str, str]:
    """Computes digests of arrays, 16 hexadecimal digits each.

    Args:
        arrays: arrays by name, on devices or of NumPy; at most 4 bytes an element.

    Returns:
        {name: digest}; a change of a single element, even of a single bit, always changes it.
    """
    found = jax.device_get({name: _sums(x) for name, x in arrays.items()})
    return {name: "".join(f"{int(x):08x}" for x in sums) for name, sums in found.items()}


@jax.jit
def _sums(x: Array) -> Array:
    """[2] uint32: two sums of all elements' bits, each mixed with its place.

    The mixing is one-to-one for each element, and so is a product with an odd number; sums modulo
    2^32 do not depend on their order. One changed element changes both, on any number of devices.
    """
    x = x.astype(jnp.uint8) if x.dtype == jnp.bool_ else x
    bits = jax.lax.bitcast_convert_type(x, _UNSIGNED[x.dtype.itemsize])
    bits = bits.reshape(-1).astype(jnp.uint32)
    place = jax.lax.iota(jnp.uint32, len(bits))
    mixed = _mixed(bits + place * _STEP)
    # Both in one pass: XLA on CPU makes a pass for each sum, which takes three times as long.
    zero = np.uint32(0)
    return jnp.stack(jax.lax.reduce((mixed, mixed * (2 * place + 1)), (zero, zero), _add, (0,)))


def _add(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
    return left[0] + right[0], left[1] + right[1]


def _mixed(x: Array) -> Array:
    """Mixes 32 bits one-to-one, as the finalizer of MurmurHash3."""
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def described(meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Completes metadata with each array's shape and digest, and with a digest of itself.

    Args:
        meta: the other stored metadata; JSON.
        arrays: the checkpoint's arrays, by name.

    Returns:
        The metadata that `checked` takes.
    """
    digests = digests_of(arrays)
    parts = {name: [list(x.shape), digests[name]] for name, x in arrays.items()}
    whole = {**meta, ARRAYS: parts}
    return {**whole, META_DIGEST: _of_json(whole)}


def checked(meta: Any) -> dict[str, Any]:
    """Checks that metadata is as it was written.

    Args:
        meta: metadata as it was read; that of checkpoints without digests passes.

    Returns:
        The same, without the digest.

    Raises:
        Damaged: it is not.
    """
    if not isinstance(meta, dict) or "position" not in meta:
        raise Damaged("its metadata is not what was written")
    rest = {name: value for name, value in meta.items() if name != META_DIGEST}
    if (ARRAYS in meta) != (META_DIGEST in meta) or (
        META_DIGEST in meta and meta[META_DIGEST] != _of_json(rest)
    ):
        raise Damaged("its metadata does not fit its digest")
    return rest


def check_arrays(meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Compares arrays with their digests.

    Args:
        meta: metadata from `checked`; without digests nothing is compared.
        arrays: arrays by name; they may be some of the checkpoint's.

    Raises:
        Damaged: names the arrays that differ.
    """
    if ARRAYS not in meta:
        return
    found = digests_of(arrays)
    wrong = [name for name, digest in found.items() if meta[ARRAYS][name][1] != digest]
    if wrong:
        raise Damaged(f"{len(wrong)} of its arrays do not fit their digests, such as {wrong[0]}")


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
