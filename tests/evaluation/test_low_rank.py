"""The low-rank classifier: against plain NumPy loops, and what it can and cannot learn."""

import jax
import numpy as np
import pytest

from vatt_gh.evaluation import low_rank
from vatt_gh.evaluation.low_rank import LowRank, answers


def made_up(seed, classes=4, size=160, d=6, distance=3.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % classes
    return rng.normal(size=(size, d)) + distance * np.eye(d)[labels], labels


def test_it_is_adam_on_the_penalized_cross_entropy(monkeypatch):
    """Two epochs without dropout, each with an incomplete batch; gradients by hand."""
    monkeypatch.setattr(low_rank, "DROPOUT", 0.0)
    features, labels = made_up(0, size=100)
    features = features.astype(np.float32)
    model = LowRank(4)
    found = jax.device_get(low_rank._fit(model, features, labels, 2))

    key = jax.random.key(low_rank.SEED)
    params = model.init(jax.random.fold_in(key, 0), features[0], False)["params"]
    a, c = (np.array(params["narrow"][n], np.float64) for n in ("kernel", "bias"))
    b, e = (np.array(params["classifier"][n], np.float64) for n in ("kernel", "bias"))
    weights = [a, c, b, e]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    t = 0
    for epoch in range(2):
        own = jax.random.fold_in(jax.random.fold_in(key, 1), epoch)
        order = np.asarray(jax.random.permutation(own, 100))
        for rows in (order[:64], order[64:]):
            x, y = features[rows].astype(np.float64), np.eye(4)[labels[rows]]
            a, c, b, e = weights
            hidden = x @ a + c
            z = np.exp(hidden @ b + e)
            error = (z / z.sum(axis=1, keepdims=True) - y) / len(rows)
            back = error @ b.T
            gradients = [x.T @ back, back.sum(0), hidden.T @ error + 0.2 * b, error.sum(0)]
            t += 1
            rate = 5e-4 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            for k, g in enumerate(gradients):
                first[k] = 0.9 * first[k] + 0.1 * g
                second[k] = 0.999 * second[k] + 0.001 * g * g
                weights[k] = weights[k] - rate * first[k] / (np.sqrt(second[k]) + 1e-7)
    parts = (
        ("narrow", "kernel"),
        ("narrow", "bias"),
        ("classifier", "kernel"),
        ("classifier", "bias"),
    )
    for (layer, leaf), expected in zip(parts, weights, strict=True):
        np.testing.assert_allclose(found[layer][leaf], expected, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("known", [True, False])
def test_it_learns_what_features_tell_and_nothing_else(known):
    features, labels = made_up(1)
    rng = np.random.default_rng(2)
    given = labels if known else rng.permutation(labels)
    names = np.array(["d", "a", "c", "b"])
    fit = rng.uniform(size=len(labels)) < 0.5
    right = answers(features[fit], names[given[fit]], features[~fit]) == names[given[~fit]]
    assert right.mean() > 0.9 if known else right.mean() < 0.45
