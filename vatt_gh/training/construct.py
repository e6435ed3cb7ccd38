"""Builds a run's parts from the configuration: model, optimizer, and a sample for drawing."""

import numpy as np
import optax
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.config import compares_gradients
from vatt_gh.errors import UserError
from vatt_gh.harmonize import ENGINES
from vatt_gh.models.vatt import Vatt, build_vatt
from vatt_gh.training.optimizer import Schedule, keras_adam, stepped_cosine


def model_of(
    config: ConfigDict, *, words: int, audio_rate: int, axis_name: str | None = None
) -> Vatt:
    """Builds the model of a run; arguments as in `models.vatt.build_vatt`.

    Pads to the multiple that the engine's bfloat16 products want, on every platform, so that a
    model is the same everywhere.
    """
    compares = compares_gradients(config.harmonize) and config.model.dtype == "bfloat16"
    return build_vatt(
        config,
        words=words,
        audio_rate=audio_rate,
        axis_name=axis_name,
        token_multiple=ENGINES[config.harmonize.engine].token_multiple if compares else 1,
    )


def check_mel_filters(audio: ConfigDict, audio_rate: int) -> None:
    """Refuses mel filters that would be empty; runs from before this check go on with theirs.

    Args:
        audio: section `model.audio` of the configuration.
        audio_rate: samples of sound a second.

    Raises:
        UserError: the filters reach beyond half of the rate, where there is no energy.
    """
    highest = audio.spectrogram.mel_high_hz
    if audio.input == "spectrogram" and 2 * highest > audio_rate:
        raise UserError(
            f"The mel filters reach to {highest:g} Hz, and the sound to {audio_rate / 2:g} Hz.",
            where="config.model.audio.spectrogram.mel_high_hz",
            expected=f"at most {audio_rate / 2:g} Hz, half of the records' sample rate",
            todo=f"set --config.model.audio.spectrogram.mel_high_hz={audio_rate / 2}, or build "
            "records of a higher --config.data.build_audio_rate",
        )


def learning_rate_of(train: ConfigDict) -> Schedule:
    """Returns the learning rate by step, from the section `train` of the configuration."""
    return stepped_cosine(train.learning_rates, (train.warmup_steps, train.steps), train.steps)


def optimizer_of(train: ConfigDict) -> optax.GradientTransformation:
    """Builds the original's Adam with the run's learning rates, from the section `train`."""
    return keras_adam(learning_rate_of(train), **train.adam)


def zero_sample(data: ConfigDict) -> dict[str, np.ndarray]:
    """Makes one sample of zeros with the shapes of the section `data`, for drawing parameters."""
    shapes = {
        names.VIDEO: (data.frames, data.size, data.size, 3),
        names.AUDIO: (data.audio_samples,),
        names.TEXT: (data.candidates, data.words),
    }
    return {name: np.zeros(shape, names.DTYPES[name]) for name, shape in shapes.items()}
