"""A small model and synthetic batches, shared by the tests of models and training."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vatt_gh import config as configuration
from vatt_gh.loss_terms import LOSS_TERMS
from vatt_gh.models.vatt import Vatt

WORDS = 50
# The default losses.
TERMS = [LOSS_TERMS["video_audio"], LOSS_TERMS["video_text"]]
RATE = 16_000


def small_config(kind: str = "three_tower", **overrides: object) -> ConfigDict:
    """The smallest configuration with every part; overrides are {"a.b": value}."""
    config = configuration.default()
    size = {"layers": 2, "d_model": 24, "d_ff": 32, "heads": 2, "d_kv": 8}
    model = config.model
    for tower in (model.video, model.audio, model.text):
        tower.update(size)
    model.audio.layers = model.text.layers = 1
    model.kind = kind
    model.video.patch, model.video.buckets = (2, 8, 8), (2, 2, 2)
    model.audio.patch, model.audio.buckets = 128, 8
    model.text.d_embedding, model.text.buckets = 12, 6
    model.head.d_video_audio, model.head.d_video_text, model.d_post_proj = 16, 12, 20
    data = config.data
    data.frames, data.size, data.audio_samples = 4, 16, 1024
    data.candidates, data.words = 3, 6
    data.colour_jitter = data.audio_noise = 0.0  # slow to compile; their tests turn them on
    config.train.batch_size = 8
    config.train.steps = 20
    config.train.warmup_steps = 2
    config.train.learning_rates = (1e-2, 1e-3)
    # Most tests are of the paper's method; tests of the default select it.
    config.harmonize.update(configuration.PAPER, curriculum_steps=20)
    config.update_from_flattened_dict(overrides)
    return config


def small_batch(config: ConfigDict, size: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """A random batch; sample 1 has no sound, sample 2 no text, sample 4 no video."""
    rng = np.random.default_rng(seed)
    data = config.data
    video_mask, audio_mask, text_mask = np.ones((3, size), bool)
    if size > 4:
        audio_mask[1], text_mask[2], video_mask[4] = False, False, False
    text = rng.integers(1, WORDS, (size, data.candidates, data.words)).astype(np.int32)
    text[:, -1, data.words // 2 :] = 0
    return {
        "video": rng.integers(0, 256, (size, data.frames, data.size, data.size, 3), np.uint8),
        "audio": rng.uniform(-1, 1, (size, data.audio_samples)).astype(np.float32),
        "text": text,
        "video_mask": video_mask,
        "audio_mask": audio_mask,
        "text_mask": text_mask,
        "colour": rng.uniform([-0.1, 0.6, 0.6, -0.2], [0.1, 1.4, 1.4, 0.2], (size, 4)).astype("f4"),
        "index": np.arange(size, dtype=np.int32),
    }


def drawn(model: Vatt, sample: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Parameters and batch statistics, drawn without compilation; no bias is zero."""
    rng = np.random.default_rng(0)
    shapes, statistics = jax.eval_shape(lambda: model.init(jax.random.key(0), sample))

    def draw(path: tuple[Any, ...], x: jax.ShapeDtypeStruct) -> jax.Array:
        # With a norm's scale near zero, samples hardly differ, and the heads' batch norm
        # amplifies rounding.
        mean = 1.0 if path[-1].key == "scale" else 0.0
        return jnp.asarray(rng.normal(mean, 0.3, x.shape), x.dtype)

    params = jax.tree.map_with_path(draw, shapes)
    return params, jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), statistics)
