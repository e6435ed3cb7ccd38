"""From the configuration to what a run is made of: model, optimizer, and a sample to draw for."""

import numpy as np
import optax
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.config import compares_gradients
from vatt_gh.models.vatt import Vatt, build
from vatt_gh.training.optimizer import Schedule, keras_adam, stepped_cosine


def model_of(
    config: ConfigDict, *, words: int, audio_rate: int, axis_name: str | None = None
) -> Vatt:
    """The model of a run; arguments as for `models.vatt.build`.

    Pads to a multiple of 8 where single samples' bfloat16 products are taken: otherwise XLA copies
    both operands. Applied on every platform, so that a model is the same everywhere.
    """
    products = compares_gradients(config) and config.harmonize.engine != "vmap"
    return build(
        config,
        words=words,
        audio_rate=audio_rate,
        axis_name=axis_name,
        pad_tokens_to=8 if products and config.model.dtype == "bfloat16" else 1,
    )


def learning_rate_of(config: ConfigDict) -> Schedule:
    """The learning rate by step."""
    train = config.train
    return stepped_cosine(train.learning_rates, (train.warmup_steps, train.steps), train.steps)


def optimizer_of(config: ConfigDict) -> optax.GradientTransformation:
    """The original's Adam with the run's learning rates."""
    return keras_adam(learning_rate_of(config), **config.train.adam)


def zero_sample(config: ConfigDict) -> dict[str, np.ndarray]:
    """One sample of zeros with the configured shapes, to draw parameters for."""
    data = config.data
    shapes = {
        names.VIDEO: (data.frames, data.size, data.size, 3),
        names.AUDIO: (data.audio_samples,),
        names.TEXT: (data.candidates, data.words),
    }
    return {name: np.zeros(shape, names.DTYPES[name]) for name, shape in shapes.items()}
