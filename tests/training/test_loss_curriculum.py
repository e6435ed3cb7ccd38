"""The curriculum that uses the losses themselves, against a reimplemented loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import RATE, TERMS, WORDS, small_batch, small_config

from vatt_gh.config.checks import validate
from vatt_gh.errors import UserError
from vatt_gh.harmonize import Method, inner_products
from vatt_gh.losses import alignment_losses
from vatt_gh.models.vatt import MODALITIES, build_vatt
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.gradients import step_gradients
from vatt_gh.training.harmonization import kept_terms
from vatt_gh.training.step import create_state, draw_randomness

BY_LOSS = {"realign": False, "signal": "loss", "select": "share"}
NAMES = [term.name for term in TERMS]
SHARES = (0.0, 0.3, 0.9)


def config_of(**harmonize):
    settings = {f"harmonize.{key}": value for key, value in {**BY_LOSS, **harmonize}.items()}
    return small_config("shared", **{"model.video.layers": 1, **settings})


@functools.cache
def setup():
    config = config_of()
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    batch = small_batch(config)
    sample = {m: batch[m][0] for m in MODALITIES}
    return model, batch, create_state(model, optimizer_of(config.train), sample, seed=3)


@functools.cache
def program(**harmonize):
    model, batch, state = setup()
    randomness = draw_randomness(state, batch["index"], model)
    config = config_of(**harmonize)
    return jax.jit(
        lambda params, share: step_gradients(
            model, params, state.statistics, batch, randomness, share, config, None
        )
    )


@jax.jit
def features_of(params):
    model, batch, state = setup()
    randomness = draw_randomness(state, batch["index"], model)
    inputs = {m: batch[m] for m in MODALITIES}
    return model.encode(params["towers"], inputs, randomness.keys, randomness.keep)


@jax.jit
def losses_of(params, features=None):
    model, batch, state = setup()
    features = features_of(params) if features is None else features
    embeddings, _ = model.project(params["heads"], state.statistics, features)
    masks = {m: batch[f"{m}_mask"] for m in MODALITIES}
    return alignment_losses(
        embeddings, masks, TERMS, kind="asymmetric_nce", temperature=0.07, axis_name=None
    )


def kept_slowly(losses, valid, share):
    """Keeps all valid samples except those with the largest losses."""
    kept = np.ones(len(losses))
    places = np.flatnonzero(valid)
    order = sorted(places, key=lambda place: losses[place], reverse=True)
    kept[order[: int(share * len(places) + 1e-4)]] = 0.0
    return kept


def valid_of(batch):
    return {t.name: batch["video_mask"] & batch[f"{t.other}_mask"] for t in TERMS}


@pytest.mark.parametrize("share", SHARES)
def test_the_update_is_that_of_the_mean_over_the_losses_that_are_kept(share):
    _, batch, state = setup()
    valid, losses = valid_of(batch), jax.device_get(losses_of(state.params))
    kept = {name: valid[name] * kept_slowly(losses[name], valid[name], share) for name in losses}
    assert all(0 < k.sum() <= valid[name].sum() for name, k in kept.items())

    def loss(params):
        means = [jnp.sum(kept[n] * x) / kept[n].sum() for n, x in losses_of(params).items()]
        return sum(means) / 2

    expected = jax.grad(loss)(state.params)
    actual, _, decided, *_ = program()(state.params, jnp.float32(share))
    difference = optax.global_norm(jax.tree.map(jnp.subtract, actual, expected))
    assert difference <= 1e-5 * optax.global_norm(expected)
    # No per-sample gradient was needed.
    assert not decided.defined.any() and (decided.weight == 1).all()


def test_what_a_loss_dropped_conflicts_with_nothing():
    _, batch, state = setup()
    valid, losses = valid_of(batch), jax.device_get(losses_of(state.params))
    anchors = program(realign=True, attribution="anchor")
    _, _, decided, *_ = anchors(state.params, jnp.float32(0.5))
    both = [valid[n] * kept_slowly(losses[n], valid[n], 0.5) for n in losses]
    np.testing.assert_array_equal(decided.defined, np.prod(both, axis=0) > 0)
    np.testing.assert_array_equal(decided.scale[~decided.defined], 1.0)


def test_with_realignment_it_is_one_sample_at_a_time():
    """The default: the samples that each loss keeps are realigned, sample by sample."""
    model, batch, state = setup()
    valid, losses = valid_of(batch), jax.device_get(losses_of(state.params))
    kept = {n: valid[n] * kept_slowly(losses[n], valid[n], 0.3) for n in losses}
    draws = draw_randomness(state, batch["index"], model)

    def mean(features, name):
        return jnp.sum(kept[name] * losses_of(state.params, features)[name]) / kept[name].sum() / 2

    @jax.jit
    def one(sample, key, cotangent):
        _, pull = jax.vjp(lambda p: model.encode_one(p, sample, key, draws.keep), towers)
        return pull(cotangent)[0]

    towers = state.params["towers"]
    pulls = [jax.grad(mean)(features_of(state.params), name) for name in losses]
    total, conflicts = jax.tree.map(jnp.zeros_like, towers), 0
    for i in range(len(batch["index"])):
        sample = {m: batch[m][i] for m in MODALITIES}
        pair = [one(sample, draws.keys[i], jax.tree.map(lambda x, i=i: x[i], p)) for p in pulls]
        complete = np.array([valid["video_audio"][i] & valid["video_text"][i]])
        decided = Method(realign=True, curriculum=False)(
            inner_products([g["encoder"] for g in pair])[None], complete, jnp.float32(0)
        )
        conflicts += int((decided.scale != 1).any())
        for gradient, scale in zip(pair, decided.scale[0], strict=True):
            total = jax.tree.map(lambda t, g, s=scale: t + s * g, total, gradient)
    assert conflicts, "the case must have conflicts"
    gradients = program(realign=True)(state.params, jnp.float32(0.3))[0]["towers"]
    difference = optax.global_norm(jax.tree.map(jnp.subtract, gradients, total))
    assert difference <= 1e-5 * optax.global_norm(total)


def test_the_share_is_of_the_batch_of_all_devices():
    rng = np.random.default_rng(0)
    losses = {
        name: jnp.asarray(rng.normal(size=12), jnp.float32) for name in [t.name for t in TERMS]
    }
    masks = {f"{m}_mask": jnp.asarray(rng.uniform(size=12) < 0.8) for m in MODALITIES}
    config, share = config_of(), jnp.float32(0.4)
    keys = jax.random.split(jax.random.key(0), 12)
    whole = kept_terms(losses, keys, masks, TERMS, share, config.harmonize, None)
    parts = jax.tree.map(lambda x: x.reshape(3, 4), (losses, keys, masks))
    several = jax.vmap(
        lambda x, k, m: kept_terms(x, k, m, TERMS, share, config.harmonize, "d"), axis_name="d"
    )(*parts)
    for name, valid in valid_of(masks).items():
        expected = kept_slowly(np.asarray(losses[name]), np.asarray(valid), 0.4)
        np.testing.assert_array_equal(whole[name], expected)
        np.testing.assert_array_equal(several[name].reshape(-1), expected)


def test_random_drops_as_many_and_knows_nothing():
    count, share = 4000, jnp.float32(0.3)
    losses = {name: jnp.linspace(0, 1, count) for name in NAMES}
    keys = jax.random.split(jax.random.key(1), count)
    masks = {f"{m}_mask": jnp.arange(count) % 5 > 0 for m in MODALITIES}
    harmonize = config_of(signal="random").harmonize
    kept = kept_terms(losses, keys, masks, TERMS, share, harmonize, None)
    parts = jax.tree.map(lambda x: x.reshape(4, -1), (losses, keys, masks))
    several = jax.vmap(
        lambda x, k, m: kept_terms(x, k, m, TERMS, share, harmonize, "d"), axis_name="d"
    )(*parts)
    dropped = {}
    for name in NAMES:
        np.testing.assert_array_equal(several[name].reshape(-1), kept[name])
        dropped[name] = np.asarray(kept[name]) == 0
        there = np.asarray(masks["text_mask"])
        assert not dropped[name][~there].any()
        assert dropped[name].sum() == int(0.3 * there.sum() + 1e-4)
        # As many of those with a large loss as of the others, to four standard deviations.
        assert abs(dropped[name][: count // 2].sum() - dropped[name][count // 2 :].sum()) < 4 * 30
    both = np.all(list(dropped.values()), axis=0).sum() / (0.8 * count)
    assert both == pytest.approx(0.3**2, abs=0.02)  # each loss by itself
    again = kept_terms(losses, keys[::-1], masks, TERMS, share, harmonize, None)
    assert any(not np.array_equal(again[name], kept[name]) for name in NAMES)
    none = kept_terms(losses, keys, masks, TERMS, jnp.float32(0), harmonize, None)
    assert all(np.all(none[name] == 1) for name in NAMES)


@pytest.mark.parametrize("wrong", [{"select": "threshold"}, {"share_end": 1.0}])
def test_what_does_not_fit_is_refused(wrong):
    validate(config_of(), devices=1, hosts=1)
    with pytest.raises(UserError, match=r"harmonize\.signal"):
        validate(config_of(**wrong), devices=1, hosts=1)
    validate(config_of(**wrong, curriculum=False), devices=1, hosts=1)
