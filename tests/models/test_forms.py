"""Shapes of every kind, dtypes, recomputation, and a sample alone or in a batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from small import RATE, WORDS, drawn, small_batch, small_config

from vatt_gh.models.layers import SelfAttention, gelu
from vatt_gh.models.vatt import MODALITIES, build_vatt

KINDS = ("three_tower", "shared")


# heads * d_kv is not the width.
ODD = {"d_model": 13, "d_ff": 7, "heads": 3, "d_kv": 5, "layers": 1}


def model_of(kind, **overrides):
    odd = {f"model.{tower}.{key}": value for tower in MODALITIES for key, value in ODD.items()}
    overrides = {**odd, **overrides}
    return build_vatt(small_config(kind, **overrides), words=WORDS, audio_rate=RATE)


@functools.cache
def setup(kind):
    """A model, its parameters, four samples, their keys and DropToken's indices."""
    model = model_of(kind)
    batch = small_batch(small_config(kind), 4)
    inputs = {m: jnp.asarray(batch[m]) for m in MODALITIES}
    # A grid of 2 x 6 x 1 patches before position tables of 2 rows each.
    inputs["video"] = jnp.concatenate([inputs["video"]] * 3, axis=2)[:, :, :, :8]
    sample = {m: x[0] for m, x in inputs.items()}
    params, _ = drawn(model, sample)
    keys = jax.random.split(jax.random.key(1), 4)
    return model, params["towers"], inputs, keys, model.draw_keep(jax.random.key(2))


@functools.cache
def features(kind):
    model, towers, inputs, keys, keep = setup(kind)
    return jax.jit(lambda p: model.encode(p, inputs, keys, keep))(towers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_has_the_same_features_alone_and_in_a_batch(kind):
    """With dropout and DropToken enabled."""
    model, towers, inputs, keys, keep = setup(kind)
    one = jax.jit(lambda p, sample, key: model.encode_one(p, sample, key, keep))
    for i in (0, 3):
        alone = one(towers, {m: x[i] for m, x in inputs.items()}, keys[i])
        for m in MODALITIES:
            np.testing.assert_allclose(alone[m], features(kind)[m][i], atol=2e-6)
    other = one(towers, {m: x[0] for m, x in inputs.items()}, keys[1])
    assert np.abs(other["video"] - features(kind)["video"][0]).max() > 1e-3, "dropout is on"


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_near_float32(kind):
    _, towers, inputs, keys, keep = setup(kind)
    model = model_of(kind, **{"model.dtype": "bfloat16"})
    low = jax.jit(lambda p: model.encode(p, inputs, keys, keep))(towers)
    for m in MODALITIES:
        assert low[m].dtype == jnp.bfloat16
        value, expected = np.asarray(low[m], np.float32), np.asarray(features(kind)[m])
        assert np.isfinite(value).all() and np.std(expected) > 0
        error = np.linalg.norm(value - expected) / np.linalg.norm(expected)
        assert error < 0.03  # bfloat16 has 8 bits: a rounding of 0.004 each time


def test_both_ways_to_attend_agree():
    """The fused kernel, and the plain one that dropout on the weights needs."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 5, 13)), jnp.float32)
    mask = jnp.asarray([[True] * 5, [True, False, True, False, False]])
    bias = jnp.asarray(rng.normal(size=(3, 5, 5)), jnp.float32)
    fused = SelfAttention(3, 4)
    variables = fused.init(jax.random.key(0), x)
    plain = fused.clone(dropout_rate=1e-9)  # drops nothing, but takes the other path
    rngs = {"dropout": jax.random.key(1)}
    for options in ({}, {"mask": mask}, {"bias": bias}, {"mask": mask, "bias": bias}):
        expected = fused.apply(variables, x, **options, train=True)
        actual = plain.apply(variables, x, **options, train=True, rngs=rngs)
        np.testing.assert_allclose(actual, expected, atol=2e-6)
    one = plain.apply(variables, x[1], mask=mask[1], bias=bias, train=True, rngs=rngs)
    np.testing.assert_allclose(one, expected[1], atol=2e-6)


def test_gelu_is_the_exact_one_and_keeps_its_slope_alone():
    x = np.linspace(-9, 9, 4001).astype(np.float32)
    wide = x.astype(np.float64)
    y, pull = jax.vjp(gelu, jnp.asarray(x))
    np.testing.assert_allclose(y, wide * norm.cdf(wide), atol=2e-6)
    (slope,) = pull(jnp.ones_like(y))
    np.testing.assert_allclose(slope, norm.cdf(wide) + wide * norm.pdf(wide), atol=1e-6)
    assert [k.shape for k in jax.tree.leaves(pull)] == [x.shape]
    # In bfloat16 only its inputs and outputs are rounded.
    near = jnp.asarray(x, jnp.bfloat16)
    wide = np.asarray(near, np.float64)
    exact = wide * norm.cdf(wide)
    error = np.abs(np.asarray(gelu(near), np.float64) - exact)
    assert (error <= 2**-8 * np.abs(exact) + 2e-6).all()


def test_recomputing_blocks_changes_no_gradient():
    model, towers, inputs, keys, keep = setup("three_tower")
    again = model_of("three_tower", **{"model.remat": True})
    video = {"video": inputs["video"]}

    def gradient(module):
        def loss(p):
            return jnp.sum(jnp.sin(module.encode(p, video, keys, keep)["video"]))

        return jax.jit(jax.grad(loss))(towers)

    plain, recomputed = gradient(model), gradient(again)
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(plain))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6 * largest), recomputed, plain
    )


@settings(max_examples=4, deadline=None, derandomize=True, database=None)
@given(
    kind=st.sampled_from(KINDS),
    text=st.sampled_from(["t5", "bert", "linear"]),
    sound=st.sampled_from(["waveform", "spectrogram"]),
    head=st.sampled_from(["fac", "joint"]),
    widths=st.tuples(*[st.integers(3, 40)] * 3),
    layers=st.integers(1, 3),
    heads=st.integers(1, 5),
    d_kv=st.integers(1, 9),
    grid=st.tuples(*[st.integers(1, 4)] * 3),
    buckets=st.tuples(*[st.integers(2, 5)] * 3),
    words=st.integers(1, 7),
    candidates=st.integers(1, 4),
)
def test_any_shape_builds_and_runs(
    kind, text, sound, head, widths, layers, heads, d_kv, grid, buckets, words, candidates
):
    """Odd depths and widths, non-square grids, tables that must be stretched."""
    patch = (2, 4, 8)
    size = {"layers": layers, "heads": heads, "d_kv": d_kv}
    overrides = {
        f"model.{tower}.{key}": value
        for tower, width in zip(MODALITIES, widths, strict=True)
        for key, value in {**size, "d_model": width, "d_ff": width + 1}.items()
    }
    config = small_config(kind, **overrides)
    config.model.video.patch, config.model.video.buckets = patch, buckets
    config.model.audio.input, config.model.text.kind, config.model.head.kind = sound, text, head
    mel = config.model.audio.spectrogram
    mel.frame, mel.hop, mel.mel_bins, mel.patch, mel.buckets = 64, 32, 11, (3, 5), (4, 3)
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    frames, rows, columns = (n * p for n, p in zip(grid, patch, strict=True))
    inputs = {
        "video": jax.ShapeDtypeStruct((2, frames, rows, columns, 3), jnp.float32),
        "audio": jax.ShapeDtypeStruct((2, 700), jnp.float32),
        "text": jax.ShapeDtypeStruct((2, candidates, words), jnp.int32),
    }

    def run(inputs, key):
        params, statistics = model.init(key, {m: x[0] for m, x in inputs.items()})
        features = model.encode(params["towers"], inputs, jax.random.split(key, 2), {})
        return features, *model.project(params["heads"], statistics, features)

    features, embeddings, _ = jax.eval_shape(run, inputs, jax.random.key(0))
    width = dict(zip(MODALITIES, widths, strict=True))
    if kind == "shared":
        width = dict.fromkeys(MODALITIES, config.model.d_post_proj)
    assert features["video"].shape == (2, width["video"])
    assert features["audio"].shape == (2, width["audio"])
    assert features["text"].shape == (2, candidates, width["text"])
    assert embeddings["video_to_audio"].shape == embeddings["audio_to_video"].shape
    texts = embeddings["text_to_video"].shape
    assert embeddings["video_to_text"].shape == (2, texts[-1]) and texts[:2] == (2, candidates)
