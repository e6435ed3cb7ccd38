"""Padding tokens that round up the number of tokens, in the encoder and in whole models."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import RATE, WORDS, drawn, small_batch, small_config

from vatt_gh.models import vatt
from vatt_gh.models.bits import dropout_key
from vatt_gh.models.transformer import Encoder
from vatt_gh.training.construct import model_of
from vatt_gh.training.gradients import Randomness, step_gradients

TOKENS, WIDTH = 13, 32


def value_and_derivatives(multiple, remat, mask=None):
    encoder = Encoder(
        2,
        2,
        16,
        64,
        dropout_rate=0.1,
        attention_dropout_rate=0.1,
        remat=remat,
        token_multiple=multiple,
    )
    x, cotangent = jax.random.normal(jax.random.key(0), (2, TOKENS, WIDTH))
    params = encoder.init(jax.random.key(1), x, mask)
    rngs = {"dropout": dropout_key(jax.random.key(2), 0)}
    y, pull = jax.vjp(lambda p, x: encoder.apply(p, x, mask, train=True, rngs=rngs), params, x)
    return y, pull(cotangent)


@pytest.mark.parametrize("remat", [False, True])
def test_an_encoder_gives_the_same_with_padding(remat):
    """Values, derivatives and dropout masks."""
    padded, plain = (value_and_derivatives(multiple, remat) for multiple in (8, 1))
    for one, other in zip(jax.tree.leaves(padded), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_blocks_see_the_rounded_number_unless_there_is_a_mask():
    def shapes(mask):
        jaxpr = str(jax.make_jaxpr(lambda: value_and_derivatives(8, False, mask))())
        return "[16,64]" in jaxpr, "[13,64]" in jaxpr  # the hidden layer

    assert shapes(None) == (True, False)
    assert shapes(jnp.arange(TOKENS) < 9) == (False, True)


def harmonized(kind, engine, multiple):
    config = small_config(kind, **{"harmonize.engine": engine, "model.video.layers": 1})
    model = vatt.build_vatt(config, words=WORDS, audio_rate=RATE, token_multiple=multiple)
    batch = small_batch(config, 4)
    params, statistics = drawn(model, {m: batch[m][0] for m in vatt.MODALITIES})
    keep = model.draw_keep(jax.random.key(6))
    assert (len(keep["video"]) + 1) % 8, "there is something to pad"
    draws = Randomness(jax.random.split(jax.random.key(5), 4), keep, jax.random.key(7))
    gradients, _, decided, *_ = jax.jit(
        lambda p: step_gradients(
            model, p, statistics, batch, draws, jnp.float32(-0.1), config, None
        )
    )(params)
    return gradients, decided.cosine


@pytest.mark.parametrize("kind", ["three_tower", "shared"])
def test_samples_gradients_are_the_same_with_padding(kind):
    gradients, cosine = harmonized(kind, "ghost", 8)
    expected, without = harmonized(kind, "vmap", 1)
    np.testing.assert_allclose(cosine, without, atol=1e-5)
    apart = jax.tree.map(jnp.subtract, gradients, expected)
    assert optax.global_norm(apart) <= 1e-5 * optax.global_norm(expected)


@pytest.mark.parametrize("kind", ["three_tower", "shared"])
def test_models_round_up_for_products_of_single_samples_in_bfloat16(kind):
    def multiple(**changes):
        config = small_config(kind, **{name.replace("__", "."): x for name, x in changes.items()})
        towers = model_of(config, words=WORDS, audio_rate=RATE).towers
        if kind == "shared":
            return towers.encoder.token_multiple
        assert towers.audio.encoder.token_multiple == 1, "its gradients are those of the batch"
        return towers.video.encoder.token_multiple

    ghost = {"model__dtype": "bfloat16", "harmonize__engine": "ghost"}
    assert multiple(**ghost) == 8
    assert multiple(**ghost | {"harmonize__engine": "vmap"}) == 1
    assert multiple(**ghost | {"model__dtype": "float32"}) == 1
    off = {"harmonize__realign": False, "harmonize__curriculum": False}
    assert multiple(**ghost | off) == 1
