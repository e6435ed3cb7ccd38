"""The fused attention against the formula, alone, in a model, and on several devices.

Its kernels run here in Pallas' interpreter; for a GPU they are only lowered.
"""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from small import RATE, WORDS, small_batch, small_config

from vatt_gh.bench.attention import by_formula, fused
from vatt_gh.flops import count_flops
from vatt_gh.models.bits import dropout_key
from vatt_gh.models.layers import SelfAttention
from vatt_gh.models.vatt import MODALITIES, build_vatt
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.gradients import Randomness, step_gradients
from vatt_gh.training.step import create_state

BATCH, HEADS, WIDTH = 4, 2, 16
SCALE = WIDTH**-0.5


def drawn(tokens, dtype=jnp.float32):
    query, key, value, cotangent = jax.random.normal(
        jax.random.key(0), (4, BATCH, tokens, HEADS, WIDTH), dtype
    )
    keys = jax.vmap(lambda n: dropout_key(jax.random.key(1), n))(jnp.arange(BATCH))
    return (query, key, value), keys, cotangent


def value_and_derivatives(attend, inputs, keys, cotangent, rate):
    def one(inputs, key, cotangent):
        y, pull = jax.vjp(lambda *x: attend(*x, key, scale=SCALE, rate=rate), *inputs)
        return y, *pull(cotangent)

    return jax.vmap(one)(inputs, keys, cotangent)


def difference(actual, expected):
    actual, expected = (np.asarray(x, np.float64) for x in (actual, expected))
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("tokens", [5, 64, 150])  # less than a block, one, two and a part
def test_value_and_derivatives_are_those_of_the_formula(tokens, rate):
    given = drawn(tokens)
    actual, expected = (
        jax.jit(functools.partial(value_and_derivatives, attend, rate=rate))(*given)
        for attend in (fused, by_formula)
    )
    for one, other in zip(actual, expected, strict=True):
        assert difference(one, other) < 2e-6


@pytest.mark.parametrize(("tokens", "places"), [(5, 8), (64, 70), (130, 200)])
def test_padding_gives_and_gets_nothing(tokens, places):
    inputs, keys, cotangent = drawn(places)
    cut = jax.tree.map(lambda x: x[:, :tokens], (inputs, cotangent))
    expected = value_and_derivatives(fused, cut[0], keys, cut[1], 0.1)
    inputs, cotangent = jax.tree.map(lambda x: x.at[:, tokens:].set(jnp.nan), (inputs, cotangent))
    attend = functools.partial(fused, length=tokens)
    actual = value_and_derivatives(attend, inputs, keys, cotangent, 0.1)
    for one, other in zip(actual, expected, strict=True):
        assert difference(one[:, :tokens], other) < 1e-6
        assert not one[:, tokens:].any(), "zeros, not NaN"


def test_bfloat16_is_as_near_as_the_formula_in_bfloat16():
    inputs, keys, cotangent = drawn(70, jnp.bfloat16)
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), (inputs, cotangent))
    exact = value_and_derivatives(by_formula, wide[0], keys, wide[1], 0.1)
    near = value_and_derivatives(by_formula, inputs, keys, cotangent, 0.1)
    actual = value_and_derivatives(fused, inputs, keys, cotangent, 0.1)
    for mine, other, expected in zip(actual, near, exact, strict=True):
        assert mine.dtype == jnp.bfloat16
        assert difference(mine, expected) < 1.2 * difference(other, expected) < 0.01


def test_one_forward_pass_serves_several_cotangents():
    """As in the ghost engine's pullback of recomputed blocks: one for each loss."""
    inputs, keys, cotangent = drawn(40)
    several = jnp.stack([cotangent, cotangent[::-1] - 0.5])

    def attend(*inputs):
        return jax.vmap(lambda *x: fused(*x, scale=SCALE, rate=0.2))(*inputs, keys)

    _, pull = jax.vjp(attend, *inputs)
    together = jax.vmap(pull)(several)
    for number, one in enumerate(several):
        for actual, expected in zip(together, pull(one), strict=True):
            np.testing.assert_allclose(actual[number], expected, atol=1e-6)


def test_devices_of_a_pmap_give_the_same():
    given = drawn(20)
    work = functools.partial(value_and_derivatives, fused, rate=0.1)
    expected = work(*given)
    split = jax.tree.map(lambda x: x[:, None], given)
    for actual, whole in zip(jax.pmap(work)(*split), expected, strict=True):
        np.testing.assert_allclose(actual[:, 0], whole, atol=1e-6)


@pytest.mark.parametrize("sharded", [False, True])
def test_it_lowers_to_three_kernels_for_a_gpu(sharded):
    work = functools.partial(value_and_derivatives, fused, rate=0.1)
    given = drawn(785, jnp.bfloat16)
    if sharded:
        mesh = jax.make_mesh((4,), ("devices",), axis_types=(AxisType.Auto,))
        spec = PartitionSpec("devices")
        work = jax.shard_map(work, mesh=mesh, in_specs=spec, out_specs=spec)
    with mock.patch("jax.default_backend", lambda: "gpu"):
        lowered = jax.jit(work).trace(*given).lower(lowering_platforms=("cuda",))
    text = lowered.as_text()
    assert text.count("gpu.triton") == 3
    assert "785x785" not in text, "no array of all weights"


def test_its_products_are_counted_without_what_is_computed_anew():
    (query, key, value), keys, _ = drawn(30)

    def loss(query, key, value):
        return jax.vmap(lambda *x: fused(*x, scale=SCALE, rate=0.1))(query, key, value, keys).sum()

    product = 2 * BATCH * HEADS * 30 * 30 * WIDTH
    assert count_flops(loss, query, key, value) == 2 * product
    assert count_flops(jax.grad(loss, (0, 1, 2)), query, key, value) == 6 * product


SMALL = {f"model.{tower}.d_kv": 16 for tower in ("video", "audio", "text")}


@functools.cache
def step(kind, engine, fuse):
    """Gradients of a training step with dropout, in float32, fused or not."""
    config = small_config(kind, **SMALL, **{"harmonize.engine": engine, "model.video.layers": 1})
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    batch = small_batch(config, 4)
    sample = {m: batch[m][0] for m in MODALITIES}
    state = create_state(model, optimizer_of(config.train), sample, seed=0)
    keys = jax.random.split(jax.random.key(5), 4)
    draws = Randomness(keys, model.draw_keep(jax.random.key(6)), jax.random.key(7))
    taken = []

    def choose(module, query, random):
        taken.append(fuse and query.ndim == 3)
        return taken[-1]

    with mock.patch.object(SelfAttention, "_fused", choose):
        gradients, _, decided, losses, _ = jax.jit(
            lambda s, b: step_gradients(
                model, s.params, s.statistics, b, draws, jnp.float32(-0.1), config, None
            )
        )(state, batch)
    assert any(taken) == fuse
    return gradients, decided, losses


@pytest.mark.parametrize(("kind", "engine"), [("three_tower", "vmap"), ("shared", "ghost")])
def test_a_training_step_is_the_same_with_it(kind, engine):
    """Masks, cosines and gradients: the same numbers by another computation."""
    (gradients, decided, losses), (expected, other, plain) = (
        step(kind, engine, fuse) for fuse in (True, False)
    )
    for name in losses:
        np.testing.assert_allclose(losses[name], plain[name], rtol=1e-5)
    np.testing.assert_allclose(decided.cosine, other.cosine, atol=1e-5)
    flat, exact = (
        jnp.concatenate([x.ravel() for x in jax.tree.leaves(g)]) for g in (gradients, expected)
    )
    assert difference(flat, exact) < 1e-5


def test_only_a_gpu_and_bfloat16_take_it():
    x, random = jnp.zeros((3, 2, 16)), dropout_key(jax.random.key(0), 0)
    module = SelfAttention(2, 16, dtype=jnp.bfloat16)
    assert not module._fused(x, None)
    with mock.patch("jax.default_backend", lambda: "gpu"):
        assert module._fused(x, None) and module._fused(x, random)
        assert not module._fused(x, jax.random.key(0)), "its mask is that of hashed bits"
        assert not module._fused(x[None], random), "captions are short, and masked"
        assert not module.clone(dtype=jnp.float32)._fused(x, None)
        assert not module.clone(d_kv=24)._fused(x, None)
