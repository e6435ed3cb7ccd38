"""Inputs of the encoders in the tests."""

import jax

BATCH, TOKENS, WIDTH, FEATURES, WORDS = 4, 5, 6, 3, 50


def frames():
    return jax.random.normal(jax.random.key(1), (BATCH, TOKENS, WIDTH))


def words(shape=(TOKENS,)):
    return jax.random.randint(jax.random.key(2), (BATCH, *shape), 0, WORDS)
