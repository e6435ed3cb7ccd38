"""Loads the model of a work directory, as trained and as drawn."""

from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from vatt_gh.config import SCHEMA, default
from vatt_gh.config.schema import keys_of
from vatt_gh.data.text import read_vocabulary, vocabulary_of
from vatt_gh.errors import UserError
from vatt_gh.evaluation.features import Weights
from vatt_gh.media.rates import check_rate
from vatt_gh.models.vatt import Vatt
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.claims import read_config
from vatt_gh.training.construct import model_of, optimizer_of, zero_sample
from vatt_gh.training.initial import start_from
from vatt_gh.training.parallel import replicate
from vatt_gh.training.step import TrainState, create_state

CLASSES = "classes.txt"  # in the work directory of a fine-tuning: names, by their numbers


class Loaded(NamedTuple):
    """A model with two sets of weights.

    Attributes:
        model: built without an axis name.
        drawn: state before any training, that of a run without config.init_from; replicated.
        state: state of the newest checkpoint, or the best (eval.checkpoint); replicated.
        words: the run's vocabulary.
        audio_rate: sample rate of the sound that it was trained with, in Hz.
    """

    model: Vatt
    drawn: TrainState
    state: TrainState
    words: list[str]
    audio_rate: int


def weights_of(state: TrainState) -> Weights:
    """Returns the part of a state that embeds."""
    return state.params, state.statistics


def stored_config(workdir: Path) -> ConfigDict:
    """Reads the configuration of a work directory.

    Args:
        workdir: work directory of a run.

    Returns:
        The configuration; keys that the run did not know have their defaults.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = Path(workdir) / "config.json"
    if not path.is_file():
        raise UserError(
            "This is not the work directory of a run: it has no configuration.",
            where=path,
            expected="a directory that pre-training was given as --workdir",
            todo="give that directory",
        )
    config = default()
    known = {name for name, _ in keys_of(SCHEMA)}
    stored = {key: value for key, value in read_config(path).items() if key in known}
    tuples = {key: tuple(value) for key, value in stored.items() if isinstance(value, list)}
    config.update_from_flattened_dict(stored | tuples)
    return config


def load_for_evaluation(config: ConfigDict, workdir: Path, audio_rate: int | None = None) -> Loaded:
    """Loads a checkpoint of a work directory, or config.init_from where there is none.

    Args:
        config: the whole configuration.
        workdir: work directory of the run.
        audio_rate: sample rate of the sound to be heard, in Hz; None: that of the checkpoint.

    Returns:
        The model.

    Raises:
        UserError: there is no checkpoint, none has a score where the best is wanted, or it does
            not match the configuration, the vocabulary or the rate.
    """
    if (Path(workdir) / CLASSES).is_file():
        raise UserError(
            "The work directory is that of a fine-tuning.",
            where=workdir,
            expected="one of pre-training",
            todo="--config.mode=finetune, with the command that trained it, scores it again",
        )
    train = config.train.copy_and_resolve_references()
    if config.eval.checkpoint == "best" and not train.keep_best:
        train.keep_best = stored_config(workdir).train.keep_best
    with Checkpoints(workdir, train, audio_rate=audio_rate) as checkpoints:
        step = checkpoints.latest()
        trained = step is not None or not config.init_from
        known = checkpoints.audio_rate() if trained else _rate_of_start(config)
        rate = audio_rate or known or config.data.build_audio_rate
        words = read_vocabulary(workdir / "vocabulary.txt") if trained else _given(config, workdir)
        model = model_of(config, words=len(words), audio_rate=rate)
        optimizer, sample = optimizer_of(config.train), zero_sample(config.data)
        drawn = replicate(create_state(model, optimizer, sample, config.seed))
        if trained:
            state, _ = checkpoints.restore(drawn, _chosen(checkpoints, config.eval.checkpoint))
        else:
            whose = "the checkpoint (config.data.build_audio_rate, where it does not say it) has"
            check_rate(rate, known, whose, f"config.init_from = {config.init_from}")
            state = replicate(start_from(jax.device_get(drawn), words, config, workdir))
    return Loaded(model, drawn, state, words, rate)


def _rate_of_start(config: ConfigDict) -> int:
    """Finds the rate, in Hz, of the sound that config.init_from was trained with."""
    kind, _, path = config.init_from.partition(":")
    stored = None
    if kind == "orbax" and (Path(path) / "checkpoints").is_dir():
        with Checkpoints(Path(path), config.train) as checkpoints:
            stored = checkpoints.audio_rate()
    return stored or config.data.build_audio_rate


def _chosen(checkpoints: Checkpoints, which: str) -> int | None:
    """Finds the step of the best checkpoint, if that is wanted; None: the newest.

    Raises:
        UserError: no checkpoint has a score.
    """
    if which == "newest":
        return None
    step = checkpoints.best()
    if step is None:
        raise UserError(
            "No checkpoint has a score to choose the best by.",
            where="config.train.keep_best",
            expected="a score of eval.every that the run was trained with",
            todo="take the newest, --config.eval.checkpoint=newest, or train with "
            "--config.eval.every and --config.train.keep_best",
        )
    return step


def _given(config: ConfigDict, workdir: Path) -> list[str]:
    """Returns the vocabulary of a checkpoint that is not ours."""

    def counts() -> dict[str, int]:
        raise UserError(
            "The vocabulary of the checkpoint is not given.",
            where=f"config.init_from = {config.init_from}",
            expected="the file with its words, in the order of their numbers",
            todo="add --config.data.vocabulary=FILE",
        )

    return vocabulary_of(workdir, config.data.vocabulary, counts, config.data.vocabulary_size)
