"""Random bits for dropout at a tenth of the operations of JAX's own generator.

A step draws some ten million values per sample and layer, mostly for attention weights, one per
pair of tokens. On a GPU JAX's counter-based generator, threefry, takes longer for them than the
matrix products. Keys are still derived by threefry; only the bits of one key are hashed from their
positions. This is good enough for dropout, but not for more demanding uses.
"""

import math
from collections.abc import Hashable

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl, threefry_prng_impl

Array = jax.Array


def line_bits(key: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """Draws a well-mixed odd number for each row and each column of a matrix of bits.

    Args:
        key: [2] uint32.
        rows, columns: size of the matrix.

    Returns:
        [rows] and [columns] uint32. The bits at a row and a column are the product of the two; its
        upper bits are the better ones.
    """
    counts = (jax.lax.iota(jnp.uint32, rows), jax.lax.iota(jnp.uint32, columns))
    return tuple(_hashed(word, number) | 1 for word, number in zip(key, counts, strict=True))


def _hashed(word: Array, number: Array) -> Array:
    """Mixes by xor-shifts and products with odd constants, like the finalizer of MurmurHash3.

    The constants have little bias (C. Wellons, Prospecting for hash functions, 2018).
    """
    x = (number + np.uint32(1)) * np.uint32(0x9E3779B9) + word
    x = (x ^ (x >> 16)) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> 15)) * np.uint32(0x735A2D97)
    x = (x ^ (x >> 15)) + word
    x = (x ^ (x >> 16)) * np.uint32(0x21F0AAAD)
    return x ^ (x >> 15)


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    """Draws bits: the last axis gives the columns, all others the rows."""
    if bit_width != 32:
        raise NotImplementedError(
            f"{bit_width} random bits: expected 32, as dropout draws; turn jax_enable_x64 off"
        )
    *rows, columns = shape or (1,)
    row, column = line_bits(key, math.prod(rows), columns)
    return (row[:, None] * column).reshape(shape)


_threefry = threefry_prng_impl
HASHED: Hashable = define_prng_impl(
    key_shape=_threefry.key_shape,
    seed=_threefry.seed,
    split=_threefry.split,
    fold_in=_threefry.fold_in,
    random_bits=_random_bits,
    name="hashed",
    tag="hash",
)


def dropout_key(key: Array, number: int) -> Array:
    """Makes a key for dropout; further keys can be derived from it as usual.

    Args:
        key: random key of JAX's default kind.
        number: distinguishes the uses.

    Returns:
        A key whose bits are hashed.
    """
    data = jax.random.key_data(jax.random.fold_in(key, number))
    return jax.random.wrap_key_data(data, impl=HASHED)


def is_hashed(key: Array) -> bool:
    """Tells whether a key is from `dropout_key` or derived from one."""
    return jax.random.key_impl(key) == HASHED
