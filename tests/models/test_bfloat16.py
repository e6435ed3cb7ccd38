"""bfloat16 activations: values that stay float32, and small changes of retrieval."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr
from small import RATE, TERMS, WORDS, small_batch, small_config

from vatt_gh.bench.bfloat16 import compare
from vatt_gh.losses import alignment_losses
from vatt_gh.models.layers import SelfAttention
from vatt_gh.models.vatt import MODALITIES, build_vatt

CLIPS = 16
KINDS = ("three_tower", "shared")


def setup(kind, **overrides):
    """A model in bfloat16, and the shapes of its parameters, statistics and inputs."""
    config = small_config(kind, **{"model.dtype": "bfloat16", **overrides})
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
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
        losses = alignment_losses(embeddings, masks, TERMS, **options)
        return features, embeddings, statistics, losses

    features, *rest = jax.eval_shape(losses, params, statistics, batch, keys)
    assert {x.dtype for x in jax.tree.leaves(features)} == {jnp.dtype(jnp.bfloat16)}
    assert {x.dtype for x in jax.tree.leaves((params, statistics, rest))} == {np.dtype("float32")}


def results(jaxpr):
    """(name, shape and dtype of the first result) of all operations of a trace."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name, equation.outvars[0].aval
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if isinstance(part, ClosedJaxpr | Jaxpr):
                    yield from results(getattr(part, "jaxpr", part))


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_softmax_is_float32(dropout):
    """In the fused attention and in the plain one, which dropout on the weights requires."""
    model, params, _, batch = setup("three_tower", **{"model.attention_dropout_rate": dropout})
    sample = {m: batch[m][0] for m in MODALITIES}
    trace = jax.make_jaxpr(lambda p, key: model.encode_one(p, sample, key, {}))
    done = results(trace(params["towers"], jax.random.key(0)).jaxpr)
    found = [out.dtype for name, out in done if name == "exp"]  # nothing else has exponentials
    blocks = sum(getattr(model.towers, m).encoder.layers for m in MODALITIES)
    assert len(found) >= blocks
    assert set(found) == {np.dtype("float32")}


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_scores_are_not_rounded_before_the_softmax(dropout):
    tokens, heads = 6, 2
    x = jnp.zeros((tokens, 16), jnp.bfloat16)
    module = SelfAttention(heads, 8, dropout_rate=dropout, dtype=jnp.bfloat16)
    params = jax.eval_shape(lambda: module.init(jax.random.key(0), x))
    rngs = {"dropout": jax.random.key(1)}
    trace = jax.make_jaxpr(lambda p: module.apply(p, x, train=True, rngs=rngs))(params)
    scores = {
        out.dtype
        for name, out in results(trace.jaxpr)
        if name == "dot_general" and [n for n in out.shape if n > 1] == [heads, tokens, tokens]
    }
    assert scores == {np.dtype("float32")}


def test_retrieval_ranks_of_random_clips_agree():
    """For a small model; `python -m vatt_gh.bench bfloat16` measures base size."""
    found = compare(small_config(**{"data.candidates": 1}), words=WORDS, clips=CLIPS, seed=0)
    assert found["clips"] == CLIPS
    assert found["retrieval"].keys() == {"text_to_video", "audio_to_video"}
    for scores in found["retrieval"].values():
        assert scores["mean_rank_difference"] < 1.0  # of 16 places
        assert scores["rank_correlation"] > 0.97
    for name, distances in found["embeddings"].items():
        assert 0 < distances["largest_difference"] < 0.5 * distances["clip_distance"], name
        assert distances["own_first"] == 1.0, name
