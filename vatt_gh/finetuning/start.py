"""First parameters of a classifier: the tower of a pre-training run, or of the original's."""

from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from vatt_gh.errors import UserError
from vatt_gh.evaluation.loading import stored_config
from vatt_gh.interop.tf_checkpoint import load_tf_checkpoint
from vatt_gh.interop.transfer import Report
from vatt_gh.training.initial import fill_from_run, read_run, tell_origin
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
Tree = Any


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
    _lengthen(config)
    return config


def _lengthen(config: ConfigDict) -> None:
    """Lengthens position tables to this input; the original does so when it reads them."""
    data, video, audio = config.data, config.model.video, config.model.audio
    lengths = (data.frames, data.size, data.size)
    needed = [n // patch for n, patch in zip(lengths, video.patch, strict=True)]
    video.buckets = tuple(max(pair) for pair in zip(video.buckets, needed, strict=True))
    if audio.input == "waveform":
        audio.buckets = max(audio.buckets, data.audio_samples // audio.patch)


def start_from(state: TrainState, modality: str, config: ConfigDict, workdir: Path) -> TrainState:
    """Loads the tower from config.init_from; the linear layer stays as drawn.

    Reports the variables read on the screen and in init_from.json in the work directory.

    Args:
        state: newly drawn state, on the host.
        modality: 'video' or 'audio'.
        config: the whole configuration, checked.
        workdir: work directory of the run.

    Returns:
        The state with the checkpoint's tower. A fine-tuned checkpoint of the original with
        the same number of classes also gives the linear layer.

    Raises:
        UserError: there is no such checkpoint, a shape does not fit, or it lacks parameters.
    """
    kind, _, path = config.init_from.partition(":")
    if kind == "tf":
        params, _, report = load_tf_checkpoint(
            path,
            state.params,
            {},
            modality=modality,
            stretch=config.init_stretch,
            partial=config.init_partial,
        )
    else:
        params, report = _tower_of_run(Path(path), state.params, modality, config)
    tell_origin(report, config, workdir)
    return state.replace(params=params)


def _tower_of_run(
    workdir: Path, params: Tree, modality: str, config: ConfigDict
) -> tuple[Tree, Report]:
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
    return filled, report


def _name(path: tuple[str, ...], modality: str, source: dict[str, Any]) -> str:
    """Name that a run gives to a classifier's parameter; "": it is not taken from there."""
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
