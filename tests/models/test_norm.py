"""The stream's layer norm: its kernel against the formula's derivatives, alone and in models.

The kernel runs here in Pallas' interpreter; for a GPU it is only lowered.
"""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import AxisType, PartitionSpec

from vatt_gh.models.norm import StreamNorm, normalised, stream_norm
from vatt_gh.models.transformer import Encoder


def drawn(tokens, width, dtype=jnp.float32):
    x, passed, cotangent = jax.random.normal(jax.random.key(0), (3, tokens, width), dtype)
    scale, bias = jax.random.normal(jax.random.key(1), (2, width))
    return (3 * x + 1, scale, bias), (passed, cotangent)


def by_formula(x, scale, bias):
    return x, normalised(x, scale, bias, x.dtype)


def pulled(function, inputs, cotangents):
    return jax.vjp(function, *inputs)[1](cotangents)


def assert_near(actual, expected, tolerance=2e-6):
    for one, other in zip(actual, expected, strict=True):
        one, other = (np.asarray(x, np.float64) for x in (one, other))
        assert np.linalg.norm(one - other) <= tolerance * np.linalg.norm(other)


def test_the_formula_is_that_of_flax():
    (x, scale, bias), _ = drawn(20, 48)
    variables = {"params": {"scale": scale, "bias": bias}}
    expected = nn.LayerNorm(epsilon=1e-6, use_fast_variance=False).apply(variables, x)
    stream, y = StreamNorm().apply(variables, x)
    assert stream is x
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("tokens", [5, 64, 150])  # less than a program's block, one, more
@pytest.mark.parametrize("width", [64, 96])  # a power of two, three times one
def test_derivatives_are_those_of_the_formula(tokens, width):
    given = drawn(tokens, width)
    assert_near(pulled(stream_norm, *given), pulled(by_formula, *given))


def test_bfloat16_is_rounded_at_the_end_alone():
    inputs, cotangents = drawn(100, 48, jnp.bfloat16)
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), (inputs, cotangents))
    actual, exact = pulled(stream_norm, inputs, cotangents), pulled(by_formula, *wide)
    assert [x.dtype for x in actual] == [jnp.bfloat16, jnp.float32, jnp.float32]
    assert_near(actual[:1], exact[:1], 2e-3)
    assert_near(actual[1:], exact[1:])


@pytest.mark.parametrize("own", [False, True], ids=["one scale", "a scale of each sample"])
def test_samples_are_taken_together(own):
    """As in the plain step, and as with copies of the parameters for every sample."""
    (x, scale, bias), (passed, cotangent) = drawn(4 * 30, 32)
    x, passed, cotangent = (a.reshape(4, 30, 32) for a in (x, passed, cotangent))
    if own:
        scale, bias = (a + jnp.arange(4.0)[:, None] for a in (scale, bias))
    axes = (0, 0, 0) if own else (0, None, None)
    actual, expected = (
        pulled(jax.vmap(f, in_axes=axes), (x, scale, bias), (passed, cotangent))
        for f in (stream_norm, by_formula)
    )
    assert_near(actual, expected)


@pytest.mark.parametrize("remat", [False, True])
def test_an_encoder_is_the_same_with_it(remat):
    x, *cotangents = jax.random.normal(jax.random.key(0), (3, 3, 13, 32))
    encoder = Encoder(2, 2, 16, 64, remat=remat)
    params = encoder.init(jax.random.key(1), x[0])

    def run(fuse):
        with mock.patch.object(StreamNorm, "_fused", lambda self, x: fuse):
            forward = jax.vmap(encoder.apply, in_axes=(None, 0))
            y, pull = jax.vjp(forward, params, x)
            # For two losses together, as for recomputed blocks.
            return y, *jax.vmap(pull)(jnp.stack(cotangents))

    fused, expected = (run(fuse) for fuse in (True, False))
    for one, other in zip(jax.tree.leaves(fused), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize("width", [512, 768, 1280])
def test_it_lowers_to_one_kernel_for_a_gpu(width):
    given = drawn(785, width, jnp.bfloat16)
    with mock.patch("jax.default_backend", lambda: "gpu"):
        traced = jax.jit(lambda *given: pulled(stream_norm, *given)).trace(*given)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("gpu.triton") == 1


def test_it_lowers_where_devices_share_the_parameters():
    (x, scale, bias), (passed, cotangent) = drawn(4 * 10, 32, jnp.bfloat16)
    x, passed, cotangent = (a.reshape(4, 10, 32) for a in (x, passed, cotangent))
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(AxisType.Auto,))
    split, same = PartitionSpec("devices"), PartitionSpec()

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(split, same, same), out_specs=split)
    def sharded(x, scale, bias):
        return jax.vmap(stream_norm, in_axes=(0, None, None))(x, scale, bias)

    given = (x, scale, bias), (passed, cotangent)
    with mock.patch("jax.default_backend", lambda: "gpu"):
        traced = jax.jit(lambda *given: pulled(sharded, *given)).trace(*given)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("gpu.triton") == 1 and "all_reduce" in text


def test_only_a_gpu_and_bfloat16_take_it():
    x = jnp.zeros((3, 16), jnp.bfloat16)
    module = StreamNorm(jnp.bfloat16)
    assert not module._fused(x)
    with mock.patch("jax.default_backend", lambda: "gpu"):
        assert module._fused(x)
        assert not module._fused(x.astype(jnp.float32))
        assert not StreamNorm()._fused(x)
        assert not module._fused(x[None]), "captions are short"
        assert module._fused(jnp.zeros((3, 1280), jnp.bfloat16))
        assert not module._fused(jnp.zeros((3, 300), jnp.bfloat16)), "75 parts of 4 columns"
        assert not module._fused(jnp.zeros((3, 4096), jnp.bfloat16)), "too much for its registers"
