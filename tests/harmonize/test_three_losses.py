"""Three losses per sample, including sound with text, as a configuration enables it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import RATE, WORDS, drawn, small_batch, small_config

from vatt_gh.batch import MODALITIES
from vatt_gh.config.checks import validate
from vatt_gh.harmonize import Method, inner_products
from vatt_gh.loss_terms import LOSS_TERMS, active_terms
from vatt_gh.losses import alignment_losses
from vatt_gh.training.construct import model_of
from vatt_gh.training.gradients import Randomness, step_gradients

SIZE = 8
WEIGHTS = {"video_audio": 1.0, "video_text": 0.5, "audio_text": 2.0}


@pytest.fixture(scope="module", params=["three_tower", "shared"])
def case(request):
    changes = {f"loss.{name}_weight": weight for name, weight in WEIGHTS.items()}
    changes |= {"model.head.kind": "joint", "model.video.layers": 1, "train.batch_size": SIZE}
    config = small_config(request.param, **changes)
    validate(config, devices=1, hosts=1)
    model = model_of(config, words=WORDS, audio_rate=RATE)
    batch = small_batch(config, SIZE)
    params, statistics = drawn(model, {m: batch[m][0] for m in MODALITIES})
    draws = Randomness(
        jax.random.split(jax.random.key(1), SIZE),
        model.draw_keep(jax.random.key(2)),
        jax.random.key(3),
    )
    return config, model, batch, params, statistics, draws


def found(case, gamma, **harmonize):
    config, model, batch, params, statistics, draws = case
    config = config.copy_and_resolve_references()
    config.harmonize.update(harmonize)
    return jax.jit(
        lambda p: step_gradients(
            model, p, statistics, batch, draws, jnp.float32(gamma), config, None
        )
    )(params)


def losses_of(case, params, features=None):
    """Each sample's share of the three means, without the engines."""
    config, model, batch, _, statistics, draws = case
    if features is None:
        inputs = {m: batch[m] for m in MODALITIES}
        features = model.encode(params["towers"], inputs, draws.keys, draws.keep)
    embeddings, _ = model.project(params["heads"], statistics, features)
    masks = {m: batch[f"{m}_mask"] for m in MODALITIES}
    terms = LOSS_TERMS.values()
    losses = alignment_losses(
        embeddings, masks, terms, kind=config.loss.kind, temperature=0.07, axis_name=None
    )
    total = sum(WEIGHTS.values())
    return [
        WEIGHTS[t.name] / total * losses[t.name] / jnp.sum(masks[t.anchor] & masks[t.other])
        for t in terms
    ]


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def test_all_three_are_on(case):
    assert [term.name for term in active_terms(case[0].loss)] == list(WEIGHTS)


def test_with_nothing_to_change_it_is_the_gradient_of_the_weighted_mean(case):
    step = found(case, -2.0, realign=False)
    plain = jax.jit(jax.grad(lambda p: sum(map(jnp.sum, losses_of(case, p)))))(case[3])
    difference = optax.global_norm(jax.tree.map(jnp.subtract, step.gradients, plain))
    assert difference <= 3e-6 * optax.global_norm(plain)
    assert set(step.losses) == set(WEIGHTS)


def test_three_gradients_of_a_sample_are_compared_and_realigned(case):
    config, model, batch, params, _, draws = case
    # Compiling takes the time: one engine for each kind of model; elsewhere both are compared.
    engine = "ghost" if config.model.kind == "shared" else "vmap"
    step = found(case, 0.0, curriculum=False, engine=engine)
    inputs = {m: batch[m] for m in MODALITIES}
    features = model.encode(params["towers"], inputs, draws.keys, draws.keep)

    @jax.jit
    def one(towers, sample, key, cotangent):
        return jax.vjp(lambda p: model.encode_one(p, sample, key, draws.keep), towers)[1](
            cotangent
        )[0]

    cotangents = [
        jax.grad(lambda h, n=n: jnp.sum(losses_of(case, params, h)[n]))(features) for n in range(3)
    ]
    # With three towers, two losses reach each: all towers are compared.
    part = (lambda g: g["encoder"]) if config.model.kind == "shared" else lambda g: g
    grams, gradients = [], []
    for i in range(SIZE):
        sample = {m: batch[m][i] for m in MODALITIES}
        own = [jax.tree.map(lambda x, i=i: x[i], c) for c in cotangents]
        gradients.append([one(params["towers"], sample, draws.keys[i], c) for c in own])
        grams.append(inner_products([part(g) for g in gradients[-1]]))
    complete = np.all([batch[f"{m}_mask"] for m in MODALITIES], axis=0)
    expected = Method(realign=True, curriculum=False)(jnp.stack(grams), complete, 0.0)
    np.testing.assert_allclose(step.decided.cosine, expected.cosine, atol=2e-5)
    assert (np.asarray(expected.scale) != 1).any(), "the case must have conflicts"
    total = sum(
        float(expected.scale[i, n]) * flat(gradients[i][n]) for i in range(SIZE) for n in range(3)
    )
    actual = flat(step.gradients["towers"])
    assert np.linalg.norm(actual - total) <= 1e-4 * np.linalg.norm(total)
