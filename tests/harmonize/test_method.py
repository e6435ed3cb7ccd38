"""Conflict, realignment and curriculum on handwritten or random gradients."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vatt_gh.harmonize import (
    Method,
    cosines,
    gamma_schedule,
    inner_products,
    realignment,
    sample_weights,
)


def gram_of(*gradients):
    return inner_products([{"w": jnp.asarray(g, jnp.float32)} for g in gradients])[None]


def test_inner_products_sum_over_all_leaves():
    first = {"a": jnp.array([1.0, 2.0]), "b": {"c": jnp.array([[3.0]])}}
    second = {"a": jnp.array([-1.0, 0.5]), "b": {"c": jnp.array([[2.0]])}}
    np.testing.assert_allclose(inner_products([first, second]), [[14.0, 6.0], [6.0, 5.25]])


def test_cosine_of_known_vectors():
    gram = jnp.concatenate([gram_of([1, 0], [1, 1]), gram_of([1, 0], [-2, 0]), gram_of([0], [1])])
    cosine, defined = cosines(gram)
    np.testing.assert_allclose(cosine, [np.sqrt(0.5), -1.0, 0.0], atol=1e-6)
    assert defined.tolist() == [True, True, False]


def test_cosine_of_three_losses_is_the_smallest_pair():
    gram = gram_of([1, 0, 0], [1, 1, 0], [-1, 0, 1])
    cosine, _ = cosines(gram)
    np.testing.assert_allclose(cosine, [-1 / np.sqrt(2)], atol=1e-6)


def test_a_gradient_that_is_not_finite_shows():
    cosine, _ = cosines(gram_of([np.nan, 1], [1, 1]))
    assert np.isnan(cosine[0])


def project_by_hand(first, second):
    """PCGrad for two gradients, both projected from the originals."""
    inner = first @ second
    if inner >= 0:
        return first, second
    return first - inner / (second @ second) * second, second - inner / (first @ first) * first


vectors = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal(size=(2, 7)).astype(np.float64)
)


@settings(max_examples=50, deadline=None)
@given(vectors, st.floats(-3, 3))
def test_realignment_is_the_sum_of_the_projected_gradients(pair, scale):
    first, second = pair[0], pair[1] * 10.0**scale
    factors = np.asarray(realignment(gram_of(first, second)))[0]
    realigned = factors[0] * first + factors[1] * second
    expected = sum(project_by_hand(first, second))
    error = np.linalg.norm(realigned - expected)
    # Factors may be large and cancel: the error is relative to the terms of the sum.
    terms = np.linalg.norm(factors[0] * first) + np.linalg.norm(factors[1] * second)
    assert error <= 1e-5 * terms
    for own in (first, second):
        assert realigned @ own >= -1e-5 * terms * np.linalg.norm(own)


def test_nothing_changes_where_nothing_conflicts():
    gram = jnp.concatenate([gram_of([1, 2], [2, 1]), gram_of([1, 0], [0, 1]), gram_of([0], [1])])
    np.testing.assert_array_equal(realignment(gram), np.ones((3, 2)))


def test_gamma_at_the_ends_and_the_middle():
    gamma = [
        float(gamma_schedule(jnp.int32(step), start=-0.3, end=0.1, steps=10))
        for step in (0, 5, 10, 99)
    ]
    np.testing.assert_allclose(gamma, [-0.3, -0.1, 0.1, 0.1], atol=1e-6)
    assert float(gamma_schedule(jnp.int32(0), start=-0.3, end=0.1, steps=0)) == pytest.approx(0.1)


def test_hard_and_soft_weights():
    cosine = jnp.array([-0.5, -0.3, -0.1, 0.9])
    np.testing.assert_array_equal(sample_weights(cosine, jnp.float32(-0.3)), [0, 0, 1, 1])
    soft = sample_weights(cosine, jnp.float32(-0.3), soft_temperature=0.1)
    np.testing.assert_allclose(soft, 1 / (1 + np.exp(-np.array([-2.0, 0, 2, 12]))), atol=1e-6)


def test_curriculum_weights_at_the_ends_of_the_schedule():
    """At -1 and below everything is kept, at 1 nothing."""
    method = Method(realign=False, curriculum=True)
    gram = jnp.concatenate([gram_of([1, 0], [-0.9, 0.1]), gram_of([1, 0], [0.9, 0.1])])
    complete = jnp.array([True, True])
    for step, weights in ((0, [1, 1]), (10, [0, 1]), (20, [0, 0])):
        gamma = gamma_schedule(jnp.int32(step), start=-1.0, end=1.0, steps=20)
        np.testing.assert_array_equal(method(gram, complete, gamma).weight, weights)


def test_an_incomplete_sample_has_weight_one_and_no_conflict():
    method = Method(realign=True, curriculum=True)
    gram = gram_of([1, 0], [-1, 0.5])
    decided = method(gram, jnp.array([False]), jnp.float32(0.5))
    assert decided.weight.tolist() == [1.0] and decided.defined.tolist() == [False]
    np.testing.assert_array_equal(decided.scale, [[1.0, 1.0]])


def test_both_together_scale_by_weight_and_realignment():
    gram = gram_of([1.0, 0.0], [-0.1, 1.0])
    alone = Method(realign=True, curriculum=False)(gram, jnp.array([True]), jnp.float32(-0.3))
    soft = Method(realign=True, curriculum=True, soft_temperature=0.2)
    both = soft(gram, jnp.array([True]), jnp.float32(-0.3))
    assert 0 < float(both.weight[0]) < 1
    np.testing.assert_allclose(both.scale, alone.scale * both.weight[:, None], rtol=1e-6)
