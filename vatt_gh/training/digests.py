"""Digests of a checkpoint's arrays and metadata, which reveal changes after writing.

Arrays are digested where they are, on the devices, so that saving copies nothing for it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vatt_gh.harmonize.trees import Tree

Array = jax.Array
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
    return _written(arrays, [_sums(x) for x in arrays.values()])


def _written(names: Iterable[str], sums: list[Array]) -> dict[str, str]:
    """Waits for the sums, [2] uint32 of each name, and writes them as hexadecimal digits."""
    found = zip(names, jax.device_get(sums), strict=True)
    return {name: "".join(f"{int(x):08x}" for x in two) for name, two in found}


@jax.jit
def _all_sums(arrays: list[Array]) -> list[Array]:
    """Sums each array to [2] uint32, in one program: JAX on CPU waits after 32 programs."""
    return [_sums(x) for x in arrays]


@jax.jit  # in the program of all arrays, traced once for each shape
def _sums(x: Array) -> Array:
    """Computes two sums of all elements' bits, each mixed with its place: [2] uint32.

    The mixing is one-to-one for each element, and so is a product with an odd number; sums modulo
    2^32 do not depend on their order. One changed element changes both, on any number of devices.
    """
    x = x.astype(jnp.uint8) if x.dtype == jnp.bool_ else x
    bits = jax.lax.bitcast_convert_type(x, _UNSIGNED[x.dtype.itemsize])
    bits = bits.reshape(-1).astype(jnp.uint32)
    place = jax.lax.iota(jnp.uint32, len(bits))
    mixed = _hashed(bits + place * _STEP)
    # Both in one pass: XLA on CPU makes a pass for each sum, which takes three times as long.
    zero = np.uint32(0)
    return jnp.stack(jax.lax.reduce((mixed, mixed * (2 * place + 1)), (zero, zero), _add, (0,)))


def _add(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
    return left[0] + right[0], left[1] + right[1]


def _hashed(x: Array) -> Array:
    """Mixes 32 bits one-to-one, as the finalizer of MurmurHash3."""
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


class PendingMetadata:
    """Metadata that is completed with each array's shape and digest, and with its own digest.

    Args:
        meta: the other stored metadata; JSON.
        arrays: the checkpoint's arrays, by name.
    """

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, Any]):
        self._meta, self._arrays = meta, dict(arrays)
        self._shapes = {name: list(x.shape) for name, x in arrays.items()}
        self._sums: Future[list[Array]] = Future()

    def start(self) -> None:
        """Starts the devices on the digests, and returns; then the arrays may be donated."""
        try:
            arrays = [self._arrays.pop(name) for name in self._shapes]
            self._sums.set_result(_all_sums(arrays))
        except BaseException as error:  # a thread waits for it
            self._sums.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def finish(self) -> dict[str, Any]:
        """Waits for `start`, which another thread calls, and for the devices.

        Returns:
            The metadata, as `checked` takes it.
        """
        digests = _written(self._shapes, self._sums.result())
        parts = {name: [shape, digests[name]] for name, shape in self._shapes.items()}
        whole = {**self._meta, ARRAYS: parts}
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
