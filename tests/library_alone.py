"""`pip install .` is enough for harmonization, the models and the training step.

    python tests/library_alone.py

Runs in an environment without TensorFlow, OpenCV and PyAV; `.ci/run` creates one.
"""

import importlib.util
import sys

import jax
import numpy as np
from flax import linen as nn

from vatt_gh.batch import MODALITIES
from vatt_gh.config import default
from vatt_gh.harmonize import compare_engines, harmonized_gradients
from vatt_gh.training.construct import model_of, optimizer_of, zero_sample
from vatt_gh.training.step import create_state, train_step

ABSENT = ("tensorflow", "tensorflow_datasets", "cv2", "av", "sklearn", "matplotlib")


def harmonize_something() -> None:
    """README's library example: any encoder, any losses."""
    encoder, x = nn.Dense(4), jax.random.normal(jax.random.key(0), (6, 5))
    params = encoder.init(jax.random.key(1), x[0])["params"]

    def losses(h):
        return [(h**2).sum(axis=1), -h.sum(axis=1)]

    found = harmonized_gradients(encoder, params, x, losses)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(found.gradients))
    comparison = compare_engines(encoder, params, x, losses)
    assert comparison.differences[comparison.worst] < 1e-5


def train_something() -> None:
    """One step of a small model on zeros."""
    config = default()
    config.train.batch_size, config.data.frames, config.data.size = 4, 8, 32
    config.data.audio_samples, config.data.candidates = 1024, 1
    for tower in MODALITIES:
        config.model[tower].update(layers=1, d_model=16, d_ff=16, heads=2, d_kv=8)
    config.harmonize.realign = True
    model = model_of(config, words=20, audio_rate=16_000)
    sample, optimizer = zero_sample(config.data), optimizer_of(config.train)
    state = create_state(model, optimizer, sample, seed=0)
    batch = {name: np.stack([x] * 4) for name, x in sample.items()}
    batch |= {f"{m}_mask": np.ones(4, bool) for m in MODALITIES}
    batch |= {"index": np.arange(4, dtype=np.int32), "colour": np.tile([0.0, 1, 1, 0], (4, 1))}
    batch["colour"] = batch["colour"].astype(np.float32)
    options = {"model": model, "optimizer": optimizer, "config": config, "axis_name": None}
    _, output = jax.jit(lambda s, b: train_step(s, b, **options))(state, batch)
    assert np.isfinite(output.metrics["loss"])


if __name__ == "__main__":
    there = [name for name in ABSENT if importlib.util.find_spec(name)]
    if there:
        sys.exit(f"{', '.join(there)} are installed: this shows nothing here")
    harmonize_something()
    train_something()
    print("the library alone: harmonized gradients and a training step")
