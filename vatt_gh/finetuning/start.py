"""First parameters of a classifier: the tower of a pre-training run, or of the original's."""

import functools
from pathlib import Path
from typing import Any

import jax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from vatt_gh.errors import UserError
from vatt_gh.evaluation.loading import stored_config
from vatt_gh.harmonize.trees import Tree
from vatt_gh.interop.transfer import Report
from vatt_gh.training.initial import fill_from_run, load_start, read_run
from vatt_gh.training.step import TrainState

# Keys of the model that a fine-tuning chooses itself; all others are the checkpoint's form.
CHOSEN_KEYS = (
    "dtype",
    "remat",
    "dropout_rate",
    "attention_dropout_rate",
    "position_dropout_rate",
    "keep_tokens",
)


def with_model_of_start(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Gives a configuration the form of the model that it starts from, if that is a run of ours.

    Args:
        config: the whole configuration.
        workdir: work directory of this run; an existing one has the form itself.

    Returns:
        A copy: all of `model` is that of config.init_from's run, except CHOSEN_KEYS, and position
        tables that are too short for this input have as many rows as it needs.

    Raises:
        UserError: config.init_from is no work directory.
    """
    kind, _, path = config.init_from.partition(":")
    if kind != "orbax":
        return config
    config = config.copy_and_resolve_references()
    chosen = {key: config.model[key] for key in CHOSEN_KEYS}
    begun = (Path(workdir) / "config.json").is_file()
    with config.unlocked():
        config.model = stored_config(Path(workdir) if begun else Path(path)).model
    config.model.update(chosen)
    _lengthen(config.model, config.data)
    return config


def _lengthen(model: ConfigDict, data: ConfigDict) -> None:
    """Lengthens position tables to this input; the original does so when it reads them."""
    video, audio = model.video, model.audio
    lengths = (data.frames, data.size, data.size)
    needed = [n // patch for n, patch in zip(lengths, video.patch, strict=True)]
    video.buckets = tuple(max(pair) for pair in zip(video.buckets, needed, strict=True))
    if audio.input == "waveform":
        audio.buckets = max(audio.buckets, data.audio_samples // audio.patch)


def start_classifier(
    state: TrainState, modality: str, config: ConfigDict, workdir: Path
) -> TrainState:
    """Loads the tower from config.init_from, if it is set; the linear layer stays as drawn.

    Args:
        state, config, workdir: see `training.initial.start_from`.
        modality: 'video' or 'audio'.

    Returns:
        The state with the checkpoint's tower. A fine-tuned checkpoint of the original with
        the same number of classes also gives the linear layer.

    Raises:
        UserError: there is no such checkpoint, a shape does not fit, or it lacks parameters.
    """
    if not config.init_from and jax.process_index() == 0:
        print("Start: drawn parameters, no pre-training (config.init_from is empty)", flush=True)
    load_run = functools.partial(_tower_of_run, state.params, modality, config)
    return load_start(state, load_run, config, workdir, modality)


def _tower_of_run(
    params: Tree, modality: str, config: ConfigDict, workdir: Path
) -> tuple[Tree, Tree, Report]:
    source = read_run(workdir)
    names = {path: _name(path, modality, source) for path in flatten_dict(params)}
    names = {path: name for path, name in names.items() if name}
    tower = {name: source[name] for name in names.values() if name in source}
    filled, report = fill_from_run(params, names, tower, config.init_stretch)
    if report.missing and not config.init_partial:
        raise UserError(
            f"The run to start from lacks {len(report.missing)} parameters of the {modality} "
            f"tower, among them {report.missing[0]}.",
            where=workdir,
            expected="a run whose model has this tower",
            todo="give such a run, or --config.init_partial=True to draw what is missing",
        )
    return filled, {}, report


def _name(path: tuple[str, ...], modality: str, source: dict[str, Any]) -> str:
    """Returns a run's name for a classifier's parameter; "": it is not taken from there."""
    if path[0] != "backbone":
        return ""
    rest = path[1:]
    if any(name.startswith("params/backbone/") for name in source):  # it was fine-tuned itself
        return "/".join(("params", "backbone", *rest))
    if any(name.startswith("params/towers/encoder/") for name in source):
        # In a shared encoder the parts are one level higher than in a tower.
        rest = {
            "tokens": (modality, *rest[1:]),
            "encoder": rest,
            "post_proj": (f"{modality}_post_proj", *rest[1:]),
        }[rest[0]]
        return "/".join(("params", "towers", *rest))
    return "/".join(("params", "towers", modality, *rest))
