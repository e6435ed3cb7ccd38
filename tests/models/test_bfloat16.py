"""bfloat16 activations: what stays float32, and how near retrieval stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr
from small import RATE, WORDS, small_batch, small_config

from vatt_gh.bench.bfloat16 import compare
from vatt_gh.losses import alignment_losses
from vatt_gh.models.layers import SelfAttention
from vatt_gh.models.vatt import MODALITIES, build

CLIPS = 16
KINDS = ("three_tower", "shared")


def setup(kind, **overrides):
    """A model in bfloat16, the shapes of its parameters, statistics and inputs."""
    config = small_config(kind, **{"model.dtype": "bfloat16", **overrides})
    model = build(config, words=WORDS, audio_rate=RATE)
    batch = {m: jnp.asarray(x) for m, x in small_batch(config, 2).items()}
    sample = {m: batch[m][0] for m in MODALITIES}
    params, statistics = jax.eval_shape(lambda: model.init(jax.random.key(0), sample))
    return model, params, statistics, batch


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_embeddings_and_losses_are_float32(kind):
    model, params, statistics, batch = setup(kind)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))

    def losses(params, statistics, batch, keys):
        inputs = {m: batch[m] for m in MODALITIES}
        features = model.encode(params["towers"], inputs, keys, {})
        embeddings, statistics = model.project(params["heads"], statistics, features)
        masks = {m: batch[f"{m}_mask"] for m in ("audio", "text")}
        options = {"kind": "asymmetric_nce", "temperature": 0.07, "axis_name": None}
        return features, embeddings, statistics, alignment_losses(embeddings, masks, **options)

    features, *rest = jax.eval_shape(losses, params, statistics, batch, keys)
    assert {x.dtype for x in jax.tree.leaves(features)} == {jnp.dtype(jnp.bfloat16)}
    assert {x.dtype for x in jax.tree.leaves((params, statistics, rest))} == {np.dtype("float32")}


def exponentials(jaxpr):
    """Number formats of all exponentials of a trace: those of the softmax are the only ones."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "exp":
            found.append(equation.outvars[0].aval.dtype)
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if isinstance(part, ClosedJaxpr | Jaxpr):
                    found += exponentials(getattr(part, "jaxpr", part))
    return found


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_softmax_is_float32(dropout):
    """In the fused attention and in the plain one, which dropout on the weights needs."""
    model, params, _, batch = setup("three_tower", **{"model.attention_dropout_rate": dropout})
    sample = {m: batch[m][0] for m in MODALITIES}
    trace = jax.make_jaxpr(lambda p, key: model.encode_one(p, sample, key, {}))
    found = exponentials(trace(params["towers"], jax.random.key(0)).jaxpr)
    blocks = sum(getattr(model.towers, m).encoder.layers for m in MODALITIES)
    assert len(found) >= blocks
    assert set(found) == {np.dtype("float32")}


def test_scores_are_not_rounded_before_the_softmax():
    """Large scores, as T5's unscaled ones: the plain attention is as exact as the fused one."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(6, 64)), jnp.float32)
    exact = SelfAttention(2, 64, scale=1.0)
    variables = exact.init(jax.random.key(0), x)
    expected = exact.apply(variables, x)
    fused = exact.clone(dtype=jnp.bfloat16)
    plain = fused.clone(dropout_rate=1e-9)  # drops nothing, but takes the other way
    rngs = {"dropout": jax.random.key(1)}
    error = {
        module: np.abs(module.apply(variables, x, train=True, rngs=rngs) - expected).max()
        for module in (fused, plain)
    }
    assert 0 < error[plain] <= 1.2 * error[fused]


def test_retrieval_ranks_of_random_clips_agree():
    """The figure for a small model; `python -m vatt_gh.bench bfloat16` has that of base size."""
    found = compare(small_config(**{"data.candidates": 1}), words=WORDS, clips=CLIPS, seed=0)
    assert found["clips"] == CLIPS
    assert found["retrieval"].keys() == {"text_to_video", "audio_to_video"}
    for scores in found["retrieval"].values():
        assert scores["mean_rank_difference"] < 1.0  # of 16 places
        assert scores["rank_correlation"] > 0.97
    for name, distances in found["embeddings"].items():
        assert 0 < distances["largest_difference"] < 0.5 * distances["clip_distance"], name
        assert distances["own_first"] == 1.0, name
