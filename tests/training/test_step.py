"""The training step against slow, simple computations of the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import RATE, TERMS, WORDS, small_batch, small_config
from training.same import assert_same_on_all_devices

from vatt_gh.harmonize import Method, inner_products
from vatt_gh.losses import alignment_losses
from vatt_gh.models.vatt import build_vatt
from vatt_gh.training.colour import recoloured
from vatt_gh.training.construct import optimizer_of
from vatt_gh.training.gradients import Randomness, common_modalities, loss_shares, step_gradients
from vatt_gh.training.noise import with_noise
from vatt_gh.training.parallel import (
    AXIS,
    parallel_step,
    replicate,
    split,
)
from vatt_gh.training.step import create_state, train_step

KINDS = ("three_tower", "shared")
FIELDS = ("video", "audio", "text")


def shallow_config(kind="three_tower", **overrides):
    # Most time is compilation of blocks; a second one would test nothing new here.
    return small_config(kind, **{"model.video.layers": 1, **overrides})


@functools.cache
def setup(kind):
    config = shallow_config(kind)
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    batch = small_batch(config)
    sample = {m: batch[m][0] for m in FIELDS}
    state = create_state(model, optimizer_of(config.train), sample, seed=3)
    keys = jax.random.split(jax.random.key(5), 8)
    keep = model.draw_keep(jax.random.key(6))
    return config, model, batch, state, keys, keep


@functools.cache
def gradients_of(kind, gamma=-0.3, engine="ghost", attribution="embedding", **options):
    _, _, batch, state, keys, _ = setup(kind)
    compute = gradients_program(kind, engine=engine, attribution=attribution, **options)
    return compute(state, batch, keys, jnp.float32(gamma))


@functools.cache
def gradients_program(kind, microbatch=0, **harmonize):
    """One program for every threshold."""
    config, model, _, _, _, keep = setup(kind)
    config = config.copy_and_resolve_references()
    config.train.microbatch = microbatch
    config.harmonize.update(harmonize)
    return jax.jit(
        lambda s, b, k, g: step_gradients(
            model,
            s.params,
            s.statistics,
            b,
            Randomness(k, keep, jax.random.key(8)),
            g,
            config,
            None,
        )
    )


def loss_of(params, kind, feature_hook=lambda features: features):
    """The plain loss of VATT, reimplemented without the engines."""
    _, model, batch, state, keys, keep = setup(kind)
    features = model.encode(params["towers"], {m: batch[m] for m in FIELDS}, keys, keep)
    embeddings, _ = model.project(params["heads"], state.statistics, feature_hook(features))
    masks = {m: batch[f"{m}_mask"] for m in FIELDS}
    losses = alignment_losses(
        embeddings, masks, TERMS, kind="asymmetric_nce", temperature=0.07, axis_name=None
    )
    terms = {t.name: losses[t.name] / jnp.sum(masks["video"] & masks[t.other]) / 2 for t in TERMS}
    return sum(jnp.sum(term) for term in terms.values()), terms


@functools.cache
def plain_gradient(kind):
    params = setup(kind)[3].params
    return jax.jit(jax.grad(lambda p: loss_of(p, kind)[0]))(params)


def assert_close(actual, expected, tolerance):
    difference = jax.tree.map(jnp.subtract, actual, expected)
    assert optax.global_norm(difference) <= tolerance * optax.global_norm(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_without_harmonization_it_is_the_gradient_of_the_plain_loss(kind):
    gradients, _, decided, *_ = gradients_of(kind, realign=False, curriculum=False)
    assert_close(gradients, plain_gradient(kind), 1e-6)
    assert not decided.defined.any()


# Most of this file's time is compilation: pairs of kind and engine, where one suffices.
PAIRS = [("three_tower", "vmap"), ("shared", "ghost")]


@pytest.mark.parametrize(("kind", "engine"), PAIRS)
def test_engine_with_nothing_to_change_is_the_gradient_of_the_plain_loss(kind, engine):
    """The per-sample gradients of both losses sum to the ordinary gradient."""
    gradients, _, decided, *_ = gradients_of(
        kind, gamma=-2.0, realign=False, curriculum=True, engine=engine
    )
    assert decided.defined.sum() == 5 and (decided.weight == 1).all()
    assert_close(gradients, plain_gradient(kind), 2e-6)


@functools.cache
def slow_per_sample(kind, attribution="embedding"):
    """Each sample's two gradients of the shared parameters, one vjp at a time."""
    _, model, batch, state, keys, keep = setup(kind)
    params = state.params
    inputs = {m: batch[m] for m in FIELDS}
    features = jax.jit(lambda p: model.encode(p, inputs, keys, keep))(params["towers"])

    def terms(h, name):
        return loss_of(params, kind, lambda _: h)[1][name]

    def cotangent_of(name):
        if attribution == "embedding":
            return jax.jit(jax.grad(lambda h: jnp.sum(terms(h, name))))(features)
        # Entries (i, i) of the derivative of the samples' terms by the samples' features.
        every = jax.jit(jax.jacrev(lambda h: terms(h, name)))(features)
        return {m: x[jnp.arange(8), jnp.arange(8)] for m, x in every.items()}

    def one(towers, sample, key, cotangent):
        _, pull = jax.vjp(lambda p: model.encode_one(p, sample, key, keep), towers)
        return pull(cotangent)[0]

    one = jax.jit(one)
    result = []
    cotangents, common = [cotangent_of(t.name) for t in TERMS], common_modalities(model, TERMS)
    for i in range(8):
        sample = {m: batch[m][i] for m in common}
        own = [{m: c[m][i] for m in common} for c in cotangents]
        result.append([one(params["towers"], sample, keys[i], cotangent) for cotangent in own])
    return result


def shared_part(kind, tree):
    return tree["encoder" if kind == "shared" else "video"]


@pytest.mark.parametrize(
    ("kind", "engine", "attribution"),
    [
        ("three_tower", "vmap", "embedding"),
        ("three_tower", "ghost", "embedding"),
        ("three_tower", "ghost", "anchor"),
        ("shared", "ghost", "embedding"),
    ],
)
def test_cosines_and_update_equal_one_sample_at_a_time(kind, engine, attribution):
    batch = setup(kind)[2]
    pairs = slow_per_sample(kind, attribution)
    grams = jnp.stack([inner_products([shared_part(kind, g) for g in pair]) for pair in pairs])
    complete = jnp.asarray(batch["video_mask"] & batch["audio_mask"] & batch["text_mask"])
    method = Method(realign=True, curriculum=True)
    gamma = float(jnp.sort(method(grams, complete, -2.0).cosine[complete])[1:3].mean())  # drops two
    expected = method(grams, complete, gamma)
    gradients, _, decided, *_ = gradients_of(
        kind, gamma=gamma, engine=engine, attribution=attribution
    )
    np.testing.assert_allclose(decided.cosine, expected.cosine, atol=2e-5)
    np.testing.assert_array_equal(decided.weight, expected.weight)
    assert 0 < float(expected.weight.mean()) < 1, "the case must have samples of both kinds"
    total = jax.tree.map(jnp.zeros_like, pairs[0][0])
    for i, pair in enumerate(pairs):
        for loss in (0, 1):
            factor = expected.scale[i, loss]
            total = jax.tree.map(lambda t, g, f=factor: t + f * g, total, pair[loss])
    for modality in common_modalities(setup(kind)[1], TERMS):
        assert_close(gradients["towers"][modality], total[modality], 1e-4)
    if kind == "shared":
        assert_close(gradients["towers"]["encoder"], total["encoder"], 1e-4)


@pytest.mark.parametrize(("kind", "engine"), PAIRS)
def test_cosines_may_be_of_the_last_block_alone(kind, engine):
    def block(gradient):
        flat = jax.tree_util.tree_leaves_with_path(shared_part(kind, gradient))
        return [x for path, x in flat if "layer_0" in jax.tree_util.keystr(path)]

    grams = jnp.stack([inner_products([block(g) for g in pair]) for pair in slow_per_sample(kind)])
    batch = setup(kind)[2]
    complete = jnp.asarray(batch["video_mask"] & batch["audio_mask"] & batch["text_mask"])
    expected = Method(realign=True, curriculum=True)(grams, complete, -2.0)
    _, _, decided, *_ = gradients_of(kind, engine=engine, cosine_over="last_block", gamma=-2.0)
    np.testing.assert_allclose(decided.cosine, expected.cosine, atol=2e-5)
    np.testing.assert_allclose(decided.scale, expected.scale, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_at_the_features_with_nothing_to_change_are_plain(kind):
    gradients, _, decided, *_ = gradients_of(
        kind, gamma=-2.0, realign=False, cosine_over="features", group=2, microbatch=4
    )
    assert (decided.weight == 1).all()
    # Samples 1, 2 and 4 lack a modality, and their neighbours 0, 3 and 5 are in their groups.
    assert decided.defined.tolist() == [False] * 6 + [True] * 2
    assert_close(gradients, plain_gradient(kind), 2e-6)


def test_anchors_may_decide_and_the_update_be_vatt_s():
    """By the key of the configuration: everything is kept, so that the update is plain VATT's."""
    options = {"gamma": -2.0, "realign": False, "attribution": "anchor"}
    plain = plain_gradient("shared")
    found = gradients_of("shared", update_by="embedding", **options).gradients
    assert_close(found, plain, 2e-6)
    same = gradients_of("shared", update_by="same", **options).gradients
    difference = optax.global_norm(jax.tree.map(jnp.subtract, same, plain))
    assert difference > 1e-2 * optax.global_norm(plain)


@pytest.mark.parametrize("kind", KINDS)
def test_realigned_gradients_oppose_neither_loss(kind):
    pairs = slow_per_sample(kind)
    conflicts = 0
    for pair in pairs:
        parts = [shared_part(kind, g) for g in pair]
        gram = inner_products(parts)[None]
        decided = Method(realign=True, curriculum=False)(gram, jnp.array([True]), jnp.float32(0))
        conflicts += int(gram[0, 0, 1] < 0)
        realigned = jax.tree.map(
            lambda a, b, s=decided.scale[0]: s[0] * a + s[1] * b, parts[0], parts[1]
        )
        for own in parts:
            products = inner_products([realigned, own])
            bound = float(jnp.sqrt(products[0, 0] * products[1, 1]))
            assert float(products[0, 1]) >= -1e-5 * bound
    assert conflicts, "the case must have conflicts"


@pytest.mark.parametrize(
    ("kind", "engine", "microbatch"), [("three_tower", "ghost", 2), ("shared", "vmap", 4)]
)
def test_microbatches_of_any_divisor_agree(kind, engine, microbatch):
    expected, _, decided, *_ = gradients_of(kind)
    actual, _, other, *_ = gradients_of(kind, engine=engine, microbatch=microbatch)
    np.testing.assert_allclose(other.cosine, decided.cosine, atol=1e-5)
    assert_close(actual, expected, 1e-5)


def test_unshared_towers_and_heads_take_the_weights():
    """Their gradient is that of a loss with weighted terms and weighted feature cotangents."""
    config, model, batch, state, keys, keep = setup("three_tower")
    gradients, _, decided, *_ = gradients_of("three_tower", gamma=-0.2)
    weight = decided.weight
    shares = loss_shares(batch, config.loss, None)
    inputs = {m: batch[m] for m in FIELDS}
    features = jax.jit(lambda p: model.encode(p, inputs, keys, keep))(state.params["towers"])

    def weighted_loss(heads, h, factor):
        embeddings, _ = model.project(heads, state.statistics, h)
        masks = {m: batch[f"{m}_mask"] for m in FIELDS}
        losses = alignment_losses(
            embeddings, masks, TERMS, kind="asymmetric_nce", temperature=0.07, axis_name=None
        )
        return sum(jnp.sum(factor * shares[n] * losses[n]) for n in losses)

    heads = jax.jit(jax.grad(weighted_loss))(state.params["heads"], features, weight)
    assert_close(gradients["heads"], heads, 1e-5)
    ones = jnp.ones_like(weight)
    by_features = jax.jit(jax.grad(weighted_loss, argnums=1))
    cotangent = by_features(state.params["heads"], features, ones)

    def audio(towers):
        h = model.encode(towers, {"audio": batch["audio"]}, keys, keep)["audio"]
        return jnp.sum(h * weight[:, None] * cotangent["audio"])

    expected = jax.jit(jax.grad(audio))(state.params["towers"])["audio"]
    assert_close(gradients["towers"]["audio"], expected, 1e-5)


@functools.cache
def first_step(devices, **harmonize):
    """State and report after one step at a threshold that drops some samples."""
    options = {"gamma_start": -0.2, **harmonize}
    settings = {f"harmonize.{key}": x for key, x in options.items()}
    config = shallow_config("shared", **settings, **{"data.audio_noise": 0.1})
    state, optimizer = setup("shared")[3], optimizer_of(config.train)
    batch = small_batch(config)
    if devices == 1:
        model = build_vatt(config, words=WORDS, audio_rate=RATE)
        options = {"model": model, "optimizer": optimizer, "config": config, "axis_name": None}
        return jax.device_get(jax.jit(functools.partial(train_step, **options))(state, batch))
    model = build_vatt(config, words=WORDS, audio_rate=RATE, axis_name=AXIS)
    options = {"model": model, "optimizer": optimizer, "config": config, "axis_name": AXIS}
    state, output = parallel_step(functools.partial(train_step, **options))(
        replicate(jax.device_get(state)),
        split(batch),  # the step donates the memory of its state
    )
    return state, jax.device_get(output)


def test_one_and_four_devices_give_the_same_update():
    one, single = first_step(1)
    four, several = first_step(4)
    assert_same_on_all_devices(four)
    for name, value in single.metrics.items():
        np.testing.assert_allclose(several.metrics[name], value, rtol=2e-4, atol=1e-5)
    cosines = several.samples["cosine"].reshape(-1)
    np.testing.assert_allclose(cosines, single.samples["cosine"], atol=2e-5)
    assert_close(four.opt_state.first, one.opt_state.first, 1e-4)
    assert_close(four.statistics, one.statistics, 1e-5)


def test_the_error_of_a_sketch_is_a_metric_on_request():
    """It equals the largest difference of cosines over all devices, from two separate runs."""
    exact = first_step(4)[1]
    sketched = first_step(4, sketch=1, sketch_check=True)[1]
    errors = np.abs(exact.samples["cosine"] - sketched.samples["cosine"]).max(axis=1)
    assert errors.max() > 0.01, "the sketch must be a sketch"
    assert len(set(errors.tolist())) == 4, "devices must differ"
    assert float(sketched.metrics["sketch_error"]) == pytest.approx(errors.max(), abs=1e-5)
    assert "sketch_error" not in exact.metrics


@pytest.mark.parametrize("readable", [True, False])
def test_a_step_that_keeps_nothing_changes_nothing_and_is_counted(readable):
    gamma = 1.0 if readable else -1.0
    config = shallow_config(**{"harmonize.gamma_start": gamma, "harmonize.gamma_end": gamma})
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    batch = small_batch(config)
    for name in ("video_mask", "audio_mask", "text_mask"):
        batch[name][:] = readable
    optimizer = optimizer_of(config.train)
    state = setup("three_tower")[3]
    step = jax.jit(
        functools.partial(
            train_step, model=model, optimizer=optimizer, config=config, axis_name=None
        )
    )
    after, output = step(state, batch)
    assert (float(output.metrics["kept_share"]) == 0) == readable
    assert int(output.metrics["empty_steps"]) == int(after.empty_steps) == 1
    assert int(after.step) == 1
    for old, new in zip(
        jax.tree.leaves((state.params, state.statistics, state.opt_state)),
        jax.tree.leaves((after.params, after.statistics, after.opt_state)),
        strict=True,
    ):
        np.testing.assert_array_equal(old, new)
    # Non-finite numbers still reach the metrics.
    batch["audio"][5] = np.nan  # all of it: some tokens are dropped
    _, output = step(state, batch)
    assert np.isfinite(output.metrics["loss"]) != readable


def test_histogram_counts_the_samples_that_have_a_cosine():
    metrics, samples = first_step(1)[1]
    histogram = metrics["cosine_histogram"]
    expected, _ = np.histogram(samples["cosine"][samples["defined"]], bins=40, range=(-1, 1))
    np.testing.assert_array_equal(histogram, expected)
    assert histogram.sum() == 5


def test_the_step_changes_colours_and_adds_noise():
    """It equals the step without either on a batch that was changed before."""
    # The compared values need no backward pass, so none is compiled.
    off = {"harmonize.realign": False, "harmonize.curriculum": False}
    plain = shallow_config(**off)
    changing = plain.copy_and_resolve_references()
    changing.data.colour_jitter, changing.data.audio_noise = 0.8, 0.5
    _, model, batch, state, _, _ = setup("three_tower")
    optimizer = optimizer_of(plain.train)

    def step_of(config):
        options = {"model": model, "optimizer": optimizer, "config": config, "axis_name": None}
        return jax.jit(lambda batch: train_step(state, batch, **options)[1].samples)

    key = jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.key), 0), 3)
    keys = jnp.stack([jax.random.fold_in(key, place) for place in batch["index"]])
    changed = {
        "video": recoloured(jnp.asarray(batch["video"]), batch["colour"], plain.data),
        "audio": with_noise(jnp.asarray(batch["audio"]), 0.5, keys),
    }
    without = step_of(plain)
    found, expected = step_of(changing)(batch), without(batch | changed)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4, err_msg=name)
    for name, values in changed.items():
        only = without(batch | {name: values})["loss_va"]
        assert np.abs(found["loss_va"] - only).max() > 1e-3, "both must be seen"
