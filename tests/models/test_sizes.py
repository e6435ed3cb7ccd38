"""Parameter counts of the original's models, without drawing parameters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vatt_gh import config as configuration
from vatt_gh.models.sizes import MODELS
from vatt_gh.models.vatt import build_vatt

WORDS = 65_536
WORD_TABLE = WORDS * 300
# Parameters of each part, without the word table.
COUNTS = {
    "tx_fac_bbs": {
        "video": 87_446_016,
        "audio": 86_078_976,
        "text": 19_038_252,
        "heads": 1_314_048,
    },
    "tx_fac_mbs": {
        "video": 154_343_424,
        "audio": 86_078_976,
        "text": 19_038_252,
        "heads": 1_445_120,
    },
    "tx_fac_lbs": {
        "video": 305_498_112,
        "audio": 86_078_976,
        "text": 19_038_252,
        "heads": 1_445_120,
    },
    "ut_fac_medium": {"encoder": 151_156_736, "tokens": 10_126_336, "heads": 1_707_264},
}
# Millions, as published for the towers by their own formula.
PUBLISHED = {"base": 87.4, "medium": 154.3, "large": 305.5}


@functools.cache
def shapes_of(name):
    config = configuration.default()
    config.model.update(MODELS[name]())
    model = build_vatt(config, words=WORDS, audio_rate=48_000)
    data = config.data
    sample = {
        "video": jnp.zeros((data.frames, data.size, data.size, 3)),
        "audio": jnp.zeros(data.audio_samples),
        "text": jnp.zeros((1, data.words), jnp.int32),
    }
    return jax.eval_shape(lambda: model.init(jax.random.key(0), sample))[0]


def count(tree):
    return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))


def counts_of(name):
    params = shapes_of(name)
    towers = params["towers"]
    if "encoder" not in towers:
        parts = {m: count(towers[m]) for m in ("video", "audio", "text")}
        parts["text"] -= WORD_TABLE
    else:
        encoder = count(towers["encoder"])
        parts = {"encoder": encoder, "tokens": count(towers) - encoder - WORD_TABLE}
    return parts | {"heads": count(params["heads"])}


def test_every_named_model_has_its_count_here():
    assert MODELS.keys() == COUNTS.keys()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_counts_of_named_models(name):
    assert counts_of(name) == COUNTS[name]


def test_counts_are_the_published_ones():
    for letter, size in (("b", "base"), ("m", "medium"), ("l", "large")):
        counts = counts_of(f"tx_fac_{letter}bs")
        assert round(counts["video"] / 1e6, 1) == PUBLISHED[size]
    assert round(counts["audio"] / 1e6, 1) == 86.1
    assert round(counts["text"] / 1e6, 1) == 19.0
    assert round(WORD_TABLE / 1e6, 1) == 19.7
