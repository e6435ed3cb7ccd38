"""Both engines on whole models of the original's sizes and weights: equal decisions and updates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from golden.golden_set import setup, whole_config
from golden.test_golden_models import NAMES

from vatt_gh.config import PAPER
from vatt_gh.models.vatt import MODALITIES
from vatt_gh.training.gradients import Randomness, step_gradients

TOLERANCE = 1e-5
GAMMA = 0.0
# Batch norm over the file's own three samples amplifies one rounding of the weights to 8e-5 of a
# cosine; over nine samples, to 3e-6.
COPIES = 3


def more_samples(batch):
    """Each sample of the file several times, with noise and other words of the file."""
    rng = np.random.default_rng(0)
    more = {m: np.repeat(batch[m], COPIES, axis=0) for m in MODALITIES}
    for m in ("video", "audio"):
        more[m] = (more[m] + rng.normal(0, 0.5, more[m].shape)).astype(np.float32)
    more["text"] = rng.permuted(more["text"], axis=0)
    count = len(more["text"])
    masks = {f"{m}_mask": np.ones(count, bool) for m in MODALITIES}
    return more | masks | {"index": np.arange(count)}


def found_by(engine, name):
    """A step's whole gradient, and the samples' coefficients."""
    model, batch, _, _, variables = setup(name)
    batch = more_samples(batch)
    config, _ = whole_config(name)
    config.harmonize.update(PAPER, engine=engine)
    keys = jax.random.split(jax.random.key(1), len(batch["index"]))
    randomness = Randomness(keys, model.draw_keep(jax.random.key(2)), jax.random.key(3))

    @jax.jit
    def run(params, statistics):
        gradients, _, decided, *_ = step_gradients(
            model, params, statistics, batch, randomness, jnp.float32(GAMMA), config, None
        )
        return gradients, decided

    return run(variables["params"], variables["batch_stats"])


@pytest.mark.parametrize("name", NAMES)
def test_golden_models_engines_agree(name):
    update, own = found_by("ghost", name)
    expected, decided = found_by("vmap", name)
    assert decided.defined.all()
    np.testing.assert_allclose(own.cosine, decided.cosine, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(own.weight, decided.weight)
    assert 0 < float(decided.weight.mean()) < 1, "the case must have samples of both kinds"
    apart = optax.global_norm(jax.tree.map(jnp.subtract, update, expected))
    assert apart <= TOLERANCE * optax.global_norm(expected)
