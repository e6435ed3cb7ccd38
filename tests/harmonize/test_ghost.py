"""The ghost engine against per-sample gradients, on encoders that are not VATT."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.lax import GatherScatterMode

from vatt_gh.flops import count_flops
from vatt_gh.harmonize import (
    Ghost,
    Method,
    Pass,
    Request,
    Vmap,
    encoded,
    harmonized_gradients,
    known,
)
from vatt_gh.harmonize.products import Use
from vatt_gh.harmonize.rules import Lookup

BATCH, TOKENS, WORDS = 6, 5, 11


class Gate(nn.Module):
    """A matrix that no rule covers, dropout, and an inner Dense."""

    @nn.compact
    def __call__(self, x):
        matrix = self.param("matrix", nn.initializers.normal(), (x.shape[-1], x.shape[-1]))
        y = nn.Dropout(0.4, deterministic=False)(x @ (2 * matrix))
        return nn.Dense(x.shape[-1], name="inside")(y) * x


class Stack(nn.Module):
    """Embeddings, a Dense that is called twice, norms, and the layers of `extra`."""

    extra: str = ""
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, ids):
        embed = nn.Embed(WORDS, 8, name="embed")
        x = embed(ids).astype(self.dtype)
        again = nn.Dense(8, self.use_bias, self.dtype, name="again")
        x = nn.LayerNorm(dtype=self.dtype)(again(nn.gelu(again(x))) + x)
        maybe_recomputed = nn.remat if "remat" in self.extra else lambda module: module
        if "gate" in self.extra:
            x = maybe_recomputed(Gate)(name="gate")(x)
        if self.extra == "tied":
            x = nn.RMSNorm()(embed.attend(x)[..., :8])
        x = nn.gelu(maybe_recomputed(nn.Dense)(40, dtype=self.dtype, name="wide")(x))
        return nn.Dense(6, dtype=self.dtype, name="narrow")(x).mean(axis=0)


@functools.cache
def setup(extra="", use_bias=True):
    module = Stack(extra, use_bias)
    ids = jax.random.randint(jax.random.key(1), (BATCH, TOKENS), 0, WORDS)
    rngs = {"params": jax.random.key(2), "dropout": jax.random.key(3)}
    params = module.init(rngs, ids[0])["params"]
    keys = jax.random.split(jax.random.key(4), BATCH)

    def encode(p, sample):
        return module.apply({"params": p}, sample[0], rngs={"dropout": sample[1]})

    normal = jax.random.normal(jax.random.key(5), (2, BATCH, 6))
    return encode, params, (ids, keys), normal


def harmonized(engine, extra="", use_bias=True, **options):
    encode, params, inputs, cotangents = setup(extra, use_bias)
    method = Method(realign=True, curriculum=True)
    complete = jnp.arange(BATCH) != 1

    @jax.jit
    def run(p):
        passes = [Pass(inputs, (0, 1))]
        forward = encoded(engine, encode, p, passes, Request(2, **options))
        given = [dict(enumerate(cotangents))]
        return forward.harmonized(given, method, jnp.float32(-0.2), complete)

    return run(params)


def assert_same(actual, expected, tolerance=1e-5):
    def norm(tree):
        return np.sqrt(sum(float(jnp.sum(x * x)) for x in jax.tree.leaves(tree)))

    difference = jax.tree.map(jnp.subtract, actual[0], expected[0])
    assert norm(difference) <= tolerance * norm(expected[0])
    np.testing.assert_allclose(actual[1].cosine, expected[1].cosine, atol=tolerance)


@pytest.mark.parametrize("extra", ["", "gate", "tied", "remat", "remat gate"])
@pytest.mark.parametrize("microbatch", [0, 2])
def test_equals_the_gradients_of_single_samples(extra, microbatch):
    expected = harmonized(Vmap(), extra)
    assert 0 < float(expected[1].weight.mean()) < 1, "the case must have samples of both kinds"
    assert_same(harmonized(Ghost(), extra, microbatch=microbatch), expected)


def test_what_is_recomputed_serves_all_losses():
    """The gate's two products are recomputed once, not once for each loss."""
    kept, again = (count_flops(lambda e=e: harmonized(Ghost(), e)) for e in ("gate", "remat gate"))
    assert again - kept == 2 * (2 * BATCH * TOKENS * 8 * 8)


def test_layers_without_a_bias():
    assert_same(harmonized(Ghost(), use_bias=False), harmonized(Vmap(), use_bias=False))


def test_only_the_shared_parameters_decide():
    some = {"shared": lambda path: path[0] in ("again", "narrow")}
    expected = harmonized(Vmap(), **some)
    assert_same(harmonized(Ghost(), **some), expected)
    everything = harmonized(Vmap())
    assert np.abs(expected[1].cosine - everything[1].cosine).max() > 1e-3


def test_a_parameter_without_a_rule_is_named_once(monkeypatch, caplog):
    monkeypatch.setattr(known, "_noted", set())
    with caplog.at_level(logging.WARNING):
        harmonized(Ghost(), "gate")
        harmonized(Ghost(), "gate", microbatch=2)
    named = [record.getMessage() for record in caplog.records if record.name.endswith("known")]
    assert len(named) == 1 and named[0].startswith("gate/matrix: ")
    assert "(64 a sample), because the parameter is used by mul" in named[0]


def test_passes_with_fewer_losses_add_up():
    """Two passes of a sample through one encoder: products between passes are included."""
    encode, params, (ids, keys), cotangents = setup()
    other = (ids[:, ::-1], keys)
    method = Method(realign=True, curriculum=False)
    complete = jnp.ones(BATCH, bool)
    passes = [Pass((ids, keys), (0, 1)), Pass(other, (1,))]
    given = [{0: cotangents[0], 1: cotangents[1]}, {1: 0.5 - cotangents[0]}]
    results = []
    for engine in (Vmap(), Ghost()):
        forward = encoded(engine, encode, params, passes, Request(2, microbatch=3))
        results.append(forward.harmonized(given, method, jnp.float32(0), complete))
    assert_same(results[1], results[0])


def test_sketched_inner_products_are_unbiased():
    """Their mean over many draws of signs is near the exact values; a single draw is not."""
    encode, params, inputs, cotangents = setup()
    complete = jnp.ones(BATCH, bool)

    def grams(engine, key=None):
        seen = []

        def decide(gram, whole):
            seen.append(gram)
            decided = Method(realign=False, curriculum=False)(gram, whole, jnp.float32(0))
            return decided, decided.scale

        passes = [Pass(inputs, (0, 1))]
        wide = Request(2, lambda path: path[0] == "wide", key=key)
        _, finish = engine.run(encode, params, passes, wide)
        finish([dict(enumerate(cotangents))], decide, complete)
        return seen[0]

    exact = grams(Ghost())
    draw = jax.jit(jax.vmap(lambda key: grams(Ghost(sketch=2), key)))
    drawn = draw(jax.random.split(jax.random.key(0), 1000))
    scale = jnp.abs(exact).max()
    single = jnp.abs(drawn - exact).mean() / scale
    mean = jnp.abs(drawn.mean(axis=0) - exact).max() / scale
    assert single > 0.05, "the sketch must be a sketch"
    assert mean < 0.05


@pytest.mark.parametrize("microbatch", [0, 2])
def test_the_check_of_a_sketch_finds_the_exact_cosines_and_changes_nothing(microbatch):
    exact = harmonized(Ghost())[1]
    options = {"key": jax.random.key(9), "microbatch": microbatch}
    plain = harmonized(Ghost(sketch=1), **options)
    checked = harmonized(Ghost(sketch=1, sketch_check=True), **options)
    assert exact.exact_cosine is None and plain[1].exact_cosine is None
    assert_same(checked, plain, 1e-6)
    assert np.abs(plain[1].cosine - exact.cosine).max() > 0.01, "the sketch must be a sketch"
    np.testing.assert_allclose(checked[1].exact_cosine, exact.cosine, atol=1e-6)


def test_words_stay_apart_where_cotangents_are_bfloat16():
    """Ids are recorded as float32; bfloat16 could not tell 256 from 257."""
    ids = jnp.array([[256.0, 257.0]])
    first = jnp.array([[[1.0], [0.0]]], jnp.bfloat16)
    second = jnp.array([[[0.0], [1.0]]], jnp.bfloat16)
    rule = Lookup((300, 1), GatherScatterMode.CLIP)
    layer = rule.layer([Use(ids, {0: first, 1: second})], 2, jnp.float32)
    products = layer.inner_products(None)
    np.testing.assert_array_equal(products[0], [[1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8])
@pytest.mark.parametrize("mode", ["fill", "clip"])
def test_ids_of_a_type_that_cannot_hold_the_number_of_rows(dtype, mode):
    """They act like wider ids. (XLA's plain gradient is no reference: it depends on flags.)"""
    table = jax.random.normal(jax.random.key(0), (300, 4))
    ids = jnp.array([[3, 4, 120], [9, 0, 1], [1, 127, 47]])
    targets = jax.random.normal(jax.random.key(1), (2, 3, 4))

    def gradients(ids):
        return harmonized_gradients(
            lambda p, i: jnp.tanh(jnp.take(p, i, axis=0, mode=mode)).sum(axis=0),
            table,
            ids,
            lambda h: [jnp.sum(h * t, axis=1) for t in targets],
        ).gradients

    np.testing.assert_allclose(gradients(ids.astype(dtype)), gradients(ids), atol=1e-6)
    rule = Lookup((300, 4), GatherScatterMode.FILL_OR_DROP)
    narrow = jnp.array([[255], [7]], jnp.uint8)
    np.testing.assert_array_equal(rule.data([table, narrow]), [255, 7])


class TwoTowers(nn.Module):
    """Samples with only `left` pass through one of two Dense layers."""

    @nn.compact
    def __call__(self, sample):
        return {
            name: nn.LayerNorm(name=f"{name}_norm")(nn.Dense(7, name=name)(x)).mean(axis=0)
            for name, x in sample.items()
        }


def test_parameters_that_no_pass_reaches_cost_nothing():
    """No copies per sample: for a word table these would exceed all other memory."""
    x = jax.random.normal(jax.random.key(0), (BATCH, TOKENS, 40))
    params = TwoTowers().init(jax.random.key(1), {"left": x[0], "right": x[0]})["params"]
    cotangents = jax.random.normal(jax.random.key(2), (2, BATCH, 7))

    def run(p):
        passes = [Pass({"left": x}, (0, 1))]
        encode = lambda p, sample: TwoTowers().apply({"params": p}, sample)  # noqa: E731
        forward = encoded(Ghost(), encode, p, passes, Request(2))
        given = [{n: {"left": c} for n, c in enumerate(cotangents)}]
        method, complete = Method(True, True), jnp.ones(BATCH, bool)
        return forward.harmonized(given, method, jnp.float32(-2.0), complete)[0]

    gradients = jax.jit(run)(params)
    for name in ("right", "right_norm"):
        for value in gradients[name].values():
            assert not np.any(value)
    for name in ("left", "left_norm"):
        assert all(np.any(value) for value in gradients[name].values())
    shapes = [v.aval.shape for e in jax.make_jaxpr(run)(params).eqns for v in e.outvars]
    assert (BATCH, 40, 7) not in shapes
