"""Choices that the paper leaves open: each against a slow reference, and at its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vatt_gh.harmonize import (
    AtFeatures,
    Ghost,
    Method,
    Pass,
    Request,
    Vmap,
    drop_lowest,
    encoded,
    equal_lengths,
    feature_cotangents,
    gamma_schedule,
    harmonized_gradients,
    share_schedule,
)

BATCH = 8
X = jax.random.normal(jax.random.key(0), (BATCH, 5, 7))
TARGETS = jax.random.normal(jax.random.key(1), (2, BATCH, 3))
PARAMS = {
    "w": 0.4 * jax.random.normal(jax.random.key(2), (7, 3)),
    "v": 0.4 * jax.random.normal(jax.random.key(3), (3, 3)),
}
REALIGN = Method(realign=True, curriculum=False)
COMPLETE = jnp.ones(BATCH, bool)


def encode(p, x):
    return jnp.tanh(x @ p["w"]).mean(axis=0) @ p["v"]


def values_of(features):
    """Two losses that couple samples, so that attributions differ."""
    near = [jnp.sum((features - t) ** 2, axis=1) for t in TARGETS]
    return [near[0] + features.mean(), near[1] * jnp.abs(features).mean()]


def forward_of(engine, group=1, losses=(0, 1)):
    """The batch, encoded."""
    return encoded(engine(), encode, PARAMS, [Pass(X, losses)], Request(2), group)


def run(engine, method, *, attribution="embedding", update=False, group=1, gamma=0.0):
    """The update and the coefficients, as in the training step."""
    forward = forward_of(engine, group)
    [features] = forward.features
    values, pullback = jax.vjp(values_of, features)

    def cotangents(kind):
        return [dict(enumerate(feature_cotangents(lambda g: pullback(g)[0], values, kind, None)))]

    whole = cotangents("embedding") if update else None
    own = cotangents(attribution)
    return forward.harmonized(own, method, gamma, COMPLETE, whole)


def single_gradients(attribution="embedding"):
    """[losses, B, parameters] float64, one sample at a time."""
    features = jax.vmap(lambda x: encode(PARAMS, x))(X)

    def loss(one, n, i):
        values = values_of(features.at[i].set(one))[n]
        return values[i] if attribution == "anchor" else values.sum()

    def gradient(n, i):
        cotangent = jax.grad(loss)(features[i], n, i)
        pulled = jax.vjp(lambda p: encode(p, X[i]), PARAMS)[1](cotangent)[0]
        return np.concatenate([np.ravel(g) for g in jax.tree.leaves(pulled)])

    return np.float64([[gradient(n, i) for i in range(BATCH)] for n in range(2)])


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def realigned(first, second):
    inner = first @ second
    if inner >= 0:
        return first + second
    return first - inner / (second @ second) * second + second - inner / (first @ first) * first


def cosine_of(first, second):
    return first @ second / np.linalg.norm(first) / np.linalg.norm(second)


@pytest.mark.parametrize("begin", [0, 3])
def test_a_curriculum_that_starts_late_keeps_everything_before(begin):
    ends = {"start": -0.5, "end": 0.5, "steps": 10, "begin": begin}
    gamma = [float(gamma_schedule(jnp.int32(s), **ends)) for s in range(20)]
    assert gamma[:begin] == [-np.inf] * begin
    np.testing.assert_allclose(gamma[begin : begin + 11], np.linspace(-0.5, 0.5, 11), atol=1e-6)
    assert gamma[-1] == 0.5
    share = [float(share_schedule(jnp.int32(s), **ends | {"start": 0.1})) for s in range(20)]
    assert share[:begin] == [0.0] * begin
    np.testing.assert_allclose(share[begin], 0.1, atol=1e-6)
    late = Method(realign=False, curriculum=True, soft_temperature=0.1)
    gram = jnp.array([[[1.0, -1.0], [-1.0, 1.0]]])
    assert late(gram, jnp.array([True]), jnp.float32(-np.inf)).weight.tolist() == [1.0]


@pytest.mark.parametrize("share", [0.0, 0.125, 0.3, 0.5, 1.0])
def test_a_share_drops_the_lowest_cosines_and_no_more(share):
    rng = np.random.default_rng(0)
    cosine = rng.uniform(-1, 1, BATCH).astype(np.float32)
    defined = np.arange(BATCH) != 5
    weight = np.asarray(drop_lowest(jnp.asarray(cosine), jnp.asarray(defined), share, None))
    order = [i for i in np.argsort(cosine) if defined[i]]
    dropped = set(order[: int(share * len(order) + 1e-4)])
    assert weight.tolist() == [0.0 if i in dropped else 1.0 for i in range(BATCH)]
    devices = cosine.reshape(2, -1), defined.reshape(2, -1)
    apart = jax.pmap(lambda c, d: drop_lowest(c, d, share, "x"), axis_name="x")(*devices)
    np.testing.assert_array_equal(np.ravel(apart), weight)


def test_equal_cosines_drop_no_more_than_the_share():
    weight = drop_lowest(jnp.zeros(8), jnp.ones(8, bool), jnp.float32(0.25), None)
    assert weight.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]


def test_a_share_is_refused_where_no_batch_is_whole():
    method = Method(realign=False, curriculum=True, select="share")
    with pytest.raises(ValueError, match='microbatch=2 with select="share"'):
        harmonized_gradients(encode, PARAMS, X, values_of, method=method, microbatch=2)
    found = harmonized_gradients(encode, PARAMS, X, values_of, method=method, cutoff=0.5)
    assert float(found.coefficients.weight.sum()) == 4


@pytest.mark.parametrize("engine", [Ghost, Vmap])
@pytest.mark.parametrize("realign", [True, False])
def test_equal_lengths_are_those_of_the_gradients_scaled_first(engine, realign):
    method = Method(realign=realign, curriculum=False, equal_lengths=True)
    update, _ = run(engine, method)
    expected = 0
    for first, second in zip(*single_gradients(), strict=True):
        norms = np.linalg.norm(first), np.linalg.norm(second)
        first, second = (
            g * np.mean(norms) / n for g, n in zip((first, second), norms, strict=True)
        )
        expected = expected + (realigned(first, second) if realign else first + second)
    np.testing.assert_allclose(flat(update), expected, rtol=2e-4, atol=1e-5)


def test_equal_lengths_at_the_ends():
    gram = jnp.array([[[4.0, -2.0], [-2.0, 1.0]], [[4.0, 0.0], [0.0, 0.0]]])
    factors = equal_lengths(gram, jnp.ones((2, 2)))
    np.testing.assert_allclose(factors, [[0.75, 1.5], [1.0, 1.0]])
    # The divisor of the gradients is part of their length.
    np.testing.assert_allclose(equal_lengths(gram, jnp.array([[1.0, 2.0], [1.0, 1.0]]))[0], 1.0)
    # Opposite gradients of equal length cancel, projected or not.
    for realign in (True, False):
        method = Method(realign=realign, curriculum=False, equal_lengths=True)
        decided = method(gram, jnp.ones(2, bool), jnp.float32(0))
        np.testing.assert_allclose(decided.scale[0] @ jnp.array([2.0, -1.0]), 0.0, atol=1e-6)
        np.testing.assert_allclose(decided.after[0], 0.0, atol=1e-6)


@pytest.mark.parametrize("engine", [Ghost, Vmap])
@pytest.mark.parametrize("group", [1, 2, 4])  # a group of one is a sample
def test_a_group_is_decided_upon_by_the_sum_of_its_gradients(engine, group):
    update, decided = run(engine, REALIGN, group=group)
    first, second = single_gradients().reshape(2, BATCH // group, group, -1).sum(axis=2)
    expected = [cosine_of(*pair) for pair in zip(first, second, strict=True)]
    np.testing.assert_allclose(decided.cosine, np.repeat(expected, group), atol=1e-5)
    total = sum(realigned(*pair) for pair in zip(first, second, strict=True))
    np.testing.assert_allclose(flat(update), total, rtol=2e-4, atol=1e-5)


def test_the_library_takes_groups():
    update, decided = run(Ghost, REALIGN, group=2)
    found = harmonized_gradients(encode, PARAMS, X, values_of, method=REALIGN, group=2)
    np.testing.assert_allclose(found.coefficients.cosine, decided.cosine, atol=1e-6)
    np.testing.assert_allclose(flat(found.gradients), flat(update), rtol=1e-5, atol=1e-6)


def test_a_group_is_dropped_as_a_whole_and_not_for_an_incomplete_member():
    method = Method(realign=False, curriculum=True, select="share")
    _, decided = run(Ghost, method, group=2, gamma=jnp.float32(0.5))
    weight = np.asarray(decided.weight).reshape(-1, 2)
    assert (weight[:, 0] == weight[:, 1]).all() and weight.sum() == 4
    forward = forward_of(Vmap, 2)
    [features] = forward.features
    ones = [{0: jnp.ones_like(features), 1: -jnp.ones_like(features)}]
    complete = COMPLETE.at[3].set(False)
    drop = Method(realign=False, curriculum=True)
    _, decided = forward.harmonized(ones, drop, 0.0, complete)
    assert decided.weight.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_at_the_features_cosines_are_of_the_cotangents():
    update, decided = run(AtFeatures, REALIGN)
    features = jax.vmap(lambda x: encode(PARAMS, x))(X)
    own = [jax.grad(lambda h, n=n: values_of(h)[n].sum())(features) for n in range(2)]
    pairs = [tuple(np.float64(c[i]) for c in own) for i in range(BATCH)]
    expected = [cosine_of(*pair) for pair in pairs]
    assert min(expected) < -0.1 and max(expected) > 0.1, "the case must have both"
    np.testing.assert_allclose(decided.cosine, expected, atol=1e-5)
    cotangents = np.float32([realigned(*pair) for pair in pairs])
    pulled = jax.vjp(lambda p: jax.vmap(lambda x: encode(p, x))(X), PARAMS)[1](cotangents)[0]
    np.testing.assert_allclose(flat(update), flat(pulled), rtol=1e-4, atol=1e-6)


def test_features_that_one_loss_alone_reaches_cannot_be_compared():
    with pytest.raises(ValueError, match="no pass is reached by two losses"):
        forward_of(AtFeatures, losses=(1,))


@pytest.mark.parametrize("engine", [Ghost, Vmap, AtFeatures])
def test_decisions_may_come_from_anchors_and_the_update_be_of_everything(engine):
    keep = Method(realign=False, curriculum=True)
    update, _ = run(engine, keep, attribution="anchor", update=True, gamma=-2.0)
    plain = jax.grad(lambda p: sum(map(jnp.sum, values_of(jax.vmap(lambda x: encode(p, x))(X)))))
    np.testing.assert_allclose(flat(update), flat(plain(PARAMS)), rtol=1e-4, atol=1e-6)
    _, anchors = run(engine, REALIGN, attribution="anchor")
    both, decided = run(engine, REALIGN, attribution="anchor", update=True)
    np.testing.assert_array_equal(decided.cosine, anchors.cosine)
    first, second = single_gradients()
    scale = np.asarray(decided.scale, np.float64)
    expected = scale[:, 0] @ first + scale[:, 1] @ second
    np.testing.assert_allclose(flat(both), expected, rtol=2e-4, atol=1e-5)
