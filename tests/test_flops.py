"""Counted operations against a manual formula, and against XLA's own analysis."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from small import RATE, WORDS, small_batch, small_config

from vatt_gh.flops import count_flops
from vatt_gh.models.vatt import MODALITIES, build_vatt
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.step import TrainState, train_step

XLA_TOLERANCE = 0.1  # XLA also counts elementwise operations

WIDE = {"layers": 1, "d_model": 256, "d_ff": 512, "heads": 4, "d_kv": 64}
A, B = jnp.ones((3, 5)), jnp.ones((5, 7))
PRODUCT = 2 * 3 * 5 * 7


def test_a_product_counts_two_operations_for_each_of_its_terms():
    assert count_flops(jnp.dot, A, B) == PRODUCT
    batched = jax.vmap(jnp.dot, in_axes=(0, None))
    assert count_flops(batched, jnp.ones((4, 3, 5)), B) == 4 * PRODUCT
    # The derivative by one factor adds one product, that by both adds two.
    assert count_flops(jax.grad(lambda a, b: (a @ b).sum() ** 2), A, B) == 2 * PRODUCT


def test_what_runs_counts_as_often_as_it_runs():
    def loop(a, b):
        return lax.scan(lambda total, _: (total + a @ b, None), jnp.zeros((3, 7)), length=6)[0]

    def branch(a, b):
        return lax.cond(a[0, 0] > 0, lambda: a @ b @ b.T, lambda: a)

    def unused(a, b):
        del_me = a @ b
        return a, (lambda: del_me)

    assert count_flops(loop, A, B) == 6 * PRODUCT
    assert count_flops(branch, A, B) == 2 * PRODUCT
    assert count_flops(lambda a, b: unused(a, b)[0], A, B) == 0
    assert count_flops(jax.jit(lambda a, b: jax.jit(jnp.dot)(a, b)), A, B) == PRODUCT


def test_recomputation_counts():
    def loss(a, b):
        return jnp.sin(jnp.sin(a @ b) @ b.T).sum()

    plain = count_flops(jax.value_and_grad(loss, argnums=(0, 1)), A, B)
    again = count_flops(jax.value_and_grad(jax.checkpoint(loss), argnums=(0, 1)), A, B)
    assert plain == 6 * PRODUCT and again == 8 * PRODUCT


def test_what_cannot_be_counted_is_refused():
    def endless(a, b):
        return lax.while_loop(lambda x: x.sum() < 1e3, lambda x: x + (a @ b).sum(), a)

    with pytest.raises(ValueError, match="unknown length"):
        count_flops(endless, A, B)
    with pytest.raises(ValueError, match="convolutions"):
        count_flops(lambda x: lax.conv(x, x, (1, 1), "SAME"), jnp.ones((1, 1, 4, 4)))


def test_a_tower_counts_what_its_sizes_say():
    config = small_config()
    size, data = config.model.video, config.data
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    video = jax.ShapeDtypeStruct((data.frames, data.size, data.size, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    sample = {m: jnp.asarray(x[0]) for m, x in small_batch(config, 1).items() if m in model.kept}
    sample |= {"text": jnp.zeros((data.candidates, data.words), jnp.int32), "video": video}
    params = jax.eval_shape(lambda s: model.init(jax.random.key(0), s), sample)[0]
    for keep in ({}, jax.eval_shape(model.draw_keep, key)):
        patches = model.kept["video"] if keep else model.tokens["video"]
        tokens, heads = patches + 1, size.heads * size.d_kv
        frames, rows, columns = size.patch
        embed = patches * frames * rows * columns * 3 * size.d_model
        attention = 4 * tokens * size.d_model * heads + 2 * tokens**2 * heads
        mlp = 2 * tokens * size.d_model * size.d_ff
        expected = 2 * (embed + size.layers * (attention + mlp))
        found = count_flops(model.encode_one, params["towers"], {"video": video}, key, keep)
        assert found == expected


def test_a_step_counts_what_xla_counts():
    """Without harmonization, because XLA counts a loop's body once, however often it runs."""
    wide = {f"model.{m}.{k}": n for m in MODALITIES for k, n in WIDE.items()}
    off = {"harmonize.realign": False, "harmonize.curriculum": False}
    config = small_config(**wide, **off)
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    optimizer = optimizer_of(config.train)
    batch = small_batch(config)
    sample = {m: batch[m][0] for m in MODALITIES}
    init = jax.eval_shape(lambda: model.init(jax.random.key(0), sample))
    count, key = jnp.zeros([], jnp.int32), jax.random.key_data(jax.random.key(0))
    state = TrainState(count, *init, jax.eval_shape(optimizer.init, init[0]), key, count)

    def step(state, batch):
        return train_step(
            state, batch, model=model, optimizer=optimizer, config=config, axis_name=None
        )

    analysis = jax.jit(step).lower(state, batch).cost_analysis()
    found = count_flops(step, state, batch)
    assert found == pytest.approx(analysis["flops"], rel=XLA_TOLERANCE)
    assert found < analysis["flops"]
