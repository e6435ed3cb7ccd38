"""Losses of any size: cosines, weights and projections equal those of losses near one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vatt_gh.harmonize import Method, harmonized_gradients

BATCH, TEMPERATURE, GAMMA = 6, 0.2, 0.1
X = jax.random.normal(jax.random.key(0), (BATCH, 5, 7))
TARGETS = jax.random.normal(jax.random.key(1), (2, BATCH, 3))
PARAMS = {"w": 0.4 * jax.random.normal(jax.random.key(2), (7, 3))}
SOFT = Method(realign=True, curriculum=True, soft_temperature=TEMPERATURE)


def encode(p, x):
    return jnp.tanh(x @ p["w"]).mean(axis=0)


def run(engine, scales, x=X, **options):
    def losses(features):
        return [
            jnp.float32(s) * jnp.sum((features - t) ** 2, axis=1)
            for s, t in zip(scales, TARGETS, strict=True)
        ]

    options = {"method": SOFT, "cutoff": GAMMA, "microbatch": 2} | options
    return harmonized_gradients(encode, PARAMS, x, losses, engine=engine, **options)


def by_hand(scales):
    """The method on per-sample gradients, in float64."""

    def gradient(x, t):
        return jax.grad(lambda p: jnp.sum((encode(p, x) - t) ** 2))(PARAMS)["w"]

    found = np.float64([[gradient(x, t[i]) for i, x in enumerate(X)] for t in TARGETS])
    first, second = (s * g.reshape(BATCH, -1) for s, g in zip(scales, found, strict=True))
    sizes = [np.linalg.norm(g, axis=1) for g in (first, second)]
    cosine = (first * second).sum(axis=1) / sizes[0] / sizes[1]
    weight = 1 / (1 + np.exp((GAMMA - cosine) / TEMPERATURE))
    conflict = np.minimum(cosine, 0.0)
    a = weight * (1 - conflict * sizes[1] / sizes[0])
    b = weight * (1 - conflict * sizes[0] / sizes[1])
    update = (a[:, None] * first + b[:, None] * second).sum(axis=0) / weight.mean()
    after = np.linalg.norm(a[:, None] * first + b[:, None] * second, axis=1)
    norms = np.linalg.norm(first + second, axis=1), after
    return cosine, weight, np.stack([a, b], axis=1), update.reshape(7, 3), norms


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
@pytest.mark.parametrize(
    "scales",
    [(1.0, 1.0), (1e-19, 1e-19), (1e19, 1e19), (1e-30, 1e-30), (1e30, 1e30), (1e-12, 1e12)],
)
def test_the_size_of_losses_decides_nothing(scales, engine):
    found = run(engine, scales)
    cosine, weight, scale, update, (before, after) = by_hand(scales)
    assert cosine.min() < -0.1 and cosine.max() > 0.1, "the case must have both"
    np.testing.assert_allclose(found.coefficients.cosine, cosine, atol=1e-6)
    np.testing.assert_allclose(found.coefficients.weight, weight, rtol=1e-5)
    np.testing.assert_allclose(found.coefficients.before, before, rtol=1e-4)
    np.testing.assert_allclose(found.coefficients.after, after, rtol=1e-4)
    np.testing.assert_allclose(found.coefficients.scale, scale, rtol=1e-4)
    assert all(found.coefficients.defined)
    size = np.abs(update).max()
    np.testing.assert_allclose(found.gradients["w"] / size, update / size, atol=1e-5)


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
def test_a_zero_gradient_has_no_cosine(engine):
    found = run(engine, (1e-25, 0.0))
    assert not any(found.coefficients.defined)
    np.testing.assert_array_equal(found.coefficients.scale, 1.0)


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_what_is_not_finite_shows(scale, engine):
    found = run(engine, (1.0, scale))
    assert np.isnan(found.gradients["w"]).all()
    assert np.isnan(found.coefficients.cosine).all()


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
@pytest.mark.parametrize("size", [1e25, 1e-25])
def test_the_size_of_features_decides_nothing(size, engine):
    """The loss cancels the size, so that all gradients stay the same."""

    def losses(features):
        return [jnp.sum((features / size - t) ** 2, axis=1) for t in TARGETS]

    found = harmonized_gradients(
        lambda p, x: size * encode(p, x),
        PARAMS,
        X,
        losses,
        method=SOFT,
        cutoff=GAMMA,
        engine=engine,
    )
    cosine, _, scale, update, _ = by_hand((1.0, 1.0))
    np.testing.assert_allclose(found.coefficients.cosine, cosine, atol=1e-5)
    np.testing.assert_allclose(found.coefficients.scale, scale, rtol=1e-4)
    np.testing.assert_allclose(found.gradients["w"], update, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
def test_sizes_far_apart_are_no_number_only_where_something_conflicts(engine):
    def losses(features):
        return [1e-22 * jnp.sum((features - 1) ** 2, 1), 1e22 * jnp.sum((features - 1.1) ** 2, 1)]

    realign = Method(realign=True, curriculum=False)
    found = harmonized_gradients(encode, PARAMS, X, losses, method=realign, engine=engine)
    assert found.coefficients.cosine.min() > 0.9
    np.testing.assert_array_equal(found.coefficients.scale, 1.0)
    assert np.isfinite(found.gradients["w"]).all()


@pytest.mark.parametrize("engine", ["ghost", "vmap"])
@pytest.mark.parametrize("twice", [True, False], ids=["formed", "recorded"])
def test_float16_features_and_kernels(twice, engine):
    """Cotangents of 1e-7 and factors of 1e5 fit into float16 only if they are scaled."""

    def narrow(p, x):
        kernel = 2 * p["w"] if twice else p["w"]
        return jnp.tanh(x.astype(jnp.float16) @ kernel).mean(axis=0)

    def losses(features):
        return [
            jnp.float32(s) * jnp.sum(features.astype(jnp.float32) * t, axis=1)
            for s, t in zip((1e-4, 1.0), TARGETS, strict=True)
        ]

    params = {"w": PARAMS["w"].astype(jnp.float16)}
    realign = Method(realign=True, curriculum=False)
    found = harmonized_gradients(narrow, params, X, losses, method=realign, engine=engine)
    exact = harmonized_gradients(
        lambda p, x: narrow(p, x).astype(jnp.float32), PARAMS, X, losses, method=realign
    )
    assert found.coefficients.scale.max() > 1e3
    np.testing.assert_allclose(found.coefficients.cosine, exact.coefficients.cosine, atol=0.02)
    assert np.isfinite(found.gradients["w"]).all() and found.gradients["w"].dtype == jnp.float16
    far = np.abs(np.float32(found.gradients["w"]) - exact.gradients["w"]).max()
    assert far < 0.02 * np.abs(exact.gradients["w"]).max()
