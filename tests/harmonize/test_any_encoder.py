"""Encoders of all kinds: the ghost engine equals vmap and jax.grad, and reports the parameters
it forms sample by sample."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from encoders import ENCODERS, FORMED, made
from inputs import BATCH, FEATURES

from vatt_gh.harmonize import Method, harmonized_gradients, known

SOFT = Method(realign=True, curriculum=True, soft_temperature=0.3)
OFF = Method(realign=False, curriculum=False)


def compared(encode, params, inputs):
    """(ghost, vmap) harmonized, and (ghost with all off, jax.grad), in one program."""
    targets = jax.random.normal(jax.random.key(3), (2, BATCH, FEATURES))

    def losses(features):
        scores = [features.astype(jnp.float32) @ t.T for t in targets]
        return [jax.nn.logsumexp(s, axis=1) - jnp.diagonal(s) for s in scores]

    def total(p):
        features = jax.vmap(encode, (None, 0))(p, inputs)
        return sum(jnp.sum(loss) for loss in losses(features))

    @jax.jit
    def run(p):
        def found(engine, method):
            return harmonized_gradients(
                encode, p, inputs, losses, method=method, cutoff=-0.1, engine=engine
            )

        both = [found(engine, SOFT) for engine in ("ghost", "vmap")]
        return [(f.gradients, f.coefficients) for f in both], [
            found("ghost", OFF).gradients,
            jax.grad(total)(p),
        ]

    return run(params)


def assert_near(actual, expected, tolerance=1e-5):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    bound = tolerance * float(optax.global_norm(expected))
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert float(jnp.linalg.norm(a - b)) <= bound


def assert_exact(encode, params, inputs):
    """Compares ghost with vmap and jax.grad; returns vmap's decisions."""
    (ghost, vmap), (off, plain) = compared(encode, params, inputs)
    assert_near(off, plain)
    assert_near(ghost[0], vmap[0])
    np.testing.assert_array_equal(ghost[1].defined, vmap[1].defined)
    np.testing.assert_allclose(ghost[1].cosine, vmap[1].cosine, atol=1e-5)
    return vmap[1]


@pytest.mark.parametrize("name", ENCODERS)
def test_equals_vmap_and_the_ordinary_gradient(name, caplog, monkeypatch):
    monkeypatch.setattr(known, "_noted", set())
    with caplog.at_level(logging.WARNING, "vatt_gh"):
        decided = assert_exact(*made(name))
    assert all(decided.defined)
    notes = [record.getMessage() for record in caplog.records]
    if name in FORMED:
        assert any(FORMED[name] in note for note in notes), notes
    else:
        assert notes == []
