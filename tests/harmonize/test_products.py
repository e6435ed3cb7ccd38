"""A matrix's inner products and weighted sums, in each form, against per-sample gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vatt_gh.harmonize import products as forms
from vatt_gh.harmonize.products import MatrixGradients, Use

BATCH, LOSSES = 3, 3
ALL = {0, 1, 2}
# tokens of each call and the losses that reach it -> the cheapest form for a 64 x 64 matrix
FORMS = [
    ("gram", [(8, ALL)]),
    ("gram", [(8, {0, 1}), (3, {1})]),  # no call for loss 2
    ("reduced", [(30, ALL)]),
    ("reduced", [(40, {0, 1}), (5, {1, 2})]),
    ("kept", [(64, ALL)]),
    ("kept", [(64, {0, 1}), (32, {1})]),
]


def drawn(calls):
    rng = np.random.default_rng(0)

    def normal(tokens):
        return jnp.asarray(rng.normal(size=(BATCH, tokens, 64)), jnp.float32)

    return [Use(normal(t), {n: normal(t) for n in sorted(reached)}) for t, reached in calls]


def one_by_one(uses):
    """[B, LOSSES, 64, 64] float64."""
    made = np.zeros((BATCH, LOSSES, 64, 64))
    for use in uses:
        for loss, d in use.cotangents.items():
            for b in range(BATCH):
                made[b, loss] += np.asarray(use.x[b], np.float64).T @ np.asarray(d[b], np.float64)
    return made


@pytest.mark.parametrize(("form", "calls"), FORMS)
def test_every_form_gives_the_numbers_of_single_gradients(form, calls, monkeypatch):
    taken = []
    for name in ("_by_gram", "_reduced_at_once"):
        real = getattr(forms, name)
        monkeypatch.setattr(
            forms, name, lambda *a, name=name, real=real: taken.append(name) or real(*a)
        )
    uses = drawn(calls)
    gradients = one_by_one(uses)
    scale = np.random.default_rng(1).normal(size=(BATCH, LOSSES)).astype(np.float32)
    matrix = MatrixGradients(uses, LOSSES)
    products = matrix.inner_products(None)
    assert taken == {"gram": ["_by_gram"], "reduced": ["_reduced_at_once"], "kept": []}[form]
    expected = np.einsum("blio,bmio->blm", gradients, gradients)
    np.testing.assert_allclose(products, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    total = np.einsum("bl,blio->io", scale, gradients)
    np.testing.assert_allclose(matrix.weighted_sum(scale), total, atol=1e-5 * np.abs(total).max())


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_are_kept_only_where_they_take_no_more_than_what_they_are_made_of(dtype):
    """They have the dtype of the calls: 64 x 64 gradients are kept for 60 tokens, not for 40."""

    def kept(tokens):
        uses = jax.tree.map(lambda x: x.astype(dtype), drawn([(tokens, {0, 1})]))
        matrix = MatrixGradients(uses, LOSSES)
        matrix.inner_products(None)
        return [(x.shape, x.dtype) for x in matrix._kept if x is not None]

    assert kept(60) == [((BATCH, 64, 64), dtype)] * 2
    assert kept(40) == []


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
@pytest.mark.parametrize("tokens", [9, 20, 50])  # Gram form, reduced at once, kept
def test_matrices_of_any_shape_in_bfloat16(shape, tokens):
    """Also the weighted sum, which multiplies the narrower factor first."""
    rng = np.random.default_rng(2)
    x, a, b = (
        jnp.asarray(rng.normal(size=(BATCH, tokens, n)), jnp.bfloat16) for n in (*shape, shape[1])
    )
    scale = rng.normal(size=(BATCH, 2)).astype(np.float32)

    @jax.jit
    def computed(x, a, b):
        matrix = MatrixGradients([Use(x, {0: a, 1: b})], 2)
        return matrix.inner_products(None), matrix.weighted_sum(jnp.asarray(scale))

    products, total = computed(x, a, b)
    x, a, b = (np.asarray(array, np.float64) for array in (x, a, b))
    gradients = np.stack([np.swapaxes(x, 1, 2) @ d for d in (a, b)], axis=1)
    expected = np.einsum("blio,bmio->blm", gradients, gradients)
    # Values of formed gradients are rounded to 8 bits; the Gram form does not round.
    sizes = np.einsum("blio,bmio->blm", np.abs(gradients), np.abs(gradients))
    allowed = 1e-5 * np.abs(expected).max() if tokens == 9 else 2**-8 * sizes
    assert (np.abs(products - expected) <= allowed).all()
    # So are weighted cotangents.
    exact = np.einsum("bl,blio->io", scale, gradients)
    np.testing.assert_allclose(total, exact, atol=2**-7 * np.abs(exact).max())


def test_gradients_of_several_calls_are_rounded_as_often_as_they_are_added():
    uses = jax.tree.map(lambda x: x.astype(jnp.bfloat16), drawn([(64, ALL), (48, ALL), (48, ALL)]))
    matrix = MatrixGradients(uses, LOSSES)
    matrix.inner_products(None)
    parts = np.stack([one_by_one([use]) for use in uses])
    sums = np.cumsum(parts, axis=0)
    # Each call's gradient and each sum after the first is rounded to nearest with 8 bits.
    bound = 2**-8 * (np.abs(parts).sum(axis=0) + np.abs(sums[1:]).sum(axis=0))
    for loss, kept in enumerate(matrix._kept):
        assert kept.dtype == jnp.bfloat16
        error = np.abs(np.asarray(kept, np.float64) - sums[-1][:, loss])
        assert (error <= 1.01 * bound[:, loss]).all()
