"""Hashed random bits: each against plain integers; all as uniform and independent as drawn ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vatt_gh.models.bits import dropout_key, is_hashed, line_bits

KEYS, ROWS, COLUMNS, RATE = 32, 256, 256, 0.1
SIGMAS = 4.5


def mixed(word, number):
    """One row's or column's number, in Python's integers."""
    low = 2**32 - 1
    x = ((number + 1) * 0x9E3779B9 + word) & low
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & low
    x = ((x ^ (x >> 15)) * 0x735A2D97) & low
    x = ((x ^ (x >> 15)) + word) & low
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & low
    return (x ^ (x >> 15)) | 1


def keys(count):
    return jax.vmap(lambda n: dropout_key(jax.random.key(0), n))(jnp.arange(count))


@pytest.fixture(scope="module")
def dropped():
    """[KEYS, ROWS, COLUMNS], 1 where dropout drops, scaled to mean 0 and variance 1."""
    draw = jax.vmap(lambda key: jax.random.bernoulli(key, RATE, (ROWS, COLUMNS)))
    return (np.asarray(draw(keys(KEYS)), np.float64) - RATE) / (RATE * (1 - RATE)) ** 0.5


def test_bits_are_the_product_of_a_row_and_a_column():
    key = dropout_key(jax.random.key(3), 1)
    words = [int(x) for x in jax.random.key_data(key)]
    rows, columns = line_bits(jax.random.key_data(key), 6, 5)
    assert [int(x) for x in rows] == [mixed(words[0], n) for n in range(6)]
    assert [int(x) for x in columns] == [mixed(words[1], n) for n in range(5)]
    bits = jax.random.bits(key, (2, 3, 5))
    expected = [[int(r) * int(c) % 2**32 for c in columns] for r in rows]
    np.testing.assert_array_equal(bits.reshape(6, 5), np.array(expected, np.uint32))
    one = jax.random.bits(key)
    assert one.shape == () and int(one) == expected[0][0]


def test_derived_keys_are_hashed_and_those_of_jax_otherwise():
    key, plain = dropout_key(jax.random.key(3), 1), jax.random.fold_in(jax.random.key(3), 1)
    assert is_hashed(key) and not is_hashed(plain)
    for derive in (lambda k: jax.random.fold_in(k, 7), lambda k: jax.random.split(k, 3)[2]):
        assert is_hashed(derive(key))
        own, other = (jax.random.key_data(derive(k)) for k in (key, plain))
        np.testing.assert_array_equal(own, other)


def test_bits_of_another_width_are_refused():
    with pytest.raises(NotImplementedError, match="16 random bits: expected 32"):
        jax.random.bits(dropout_key(jax.random.key(0), 0), (4,), jnp.uint16)


def normal(means, count):
    """Asserts that these are plausible means of `count` independent values of variance 1."""
    scores = np.abs(np.ravel(means)) * count**0.5
    assert scores.max() < SIGMAS, scores.max()
    assert 0.8 < np.sqrt(np.mean(scores**2)) < 1.2 or scores.size < 30


def test_every_row_column_and_key_drops_its_share(dropped):
    normal(dropped.mean(axis=(1, 2)), ROWS * COLUMNS)
    normal(dropped.mean(axis=2), COLUMNS)
    normal(dropped.mean(axis=1), ROWS)


@pytest.mark.parametrize("axis", [1, 2])
def test_lines_of_one_key_are_unrelated(dropped, axis):
    """All pairs of the first rows, or columns, over all keys."""
    lines = np.moveaxis(dropped, axis, 0)[:40].reshape(40, -1)
    products = lines @ lines.T / lines.shape[1]
    normal(products[np.triu_indices(40, 1)], lines.shape[1])


def test_keys_are_unrelated(dropped):
    flat = dropped.reshape(KEYS, -1)
    products = flat @ flat.T / flat.shape[1]
    normal(products[np.triu_indices(KEYS, 1)], flat.shape[1])


def test_corners_of_a_rectangle_are_unrelated(dropped):
    """Bits composed of a row and a column would show it there."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        rows, columns = (rng.permutation(n).reshape(2, -1) for n in (ROWS, COLUMNS))
        corners = [dropped[:, r][:, :, c] for r in rows for c in columns]
        found.append(np.prod(corners, axis=0).mean())
    normal(found, KEYS * ROWS * COLUMNS / 4)
