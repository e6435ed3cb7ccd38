"""Initial parameters of a run, from a checkpoint of the original or of another of our runs."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from vatt_gh.data.text import read_vocabulary
from vatt_gh.errors import UserError
from vatt_gh.files import write_whole
from vatt_gh.harmonize.trees import Tree
from vatt_gh.interop.names import Names
from vatt_gh.interop.tf_checkpoint import load_tf_checkpoint
from vatt_gh.interop.transfer import Report, Resampling, fill
from vatt_gh.training.digests import ARRAYS, Damaged, check_arrays, checked
from vatt_gh.training.parallel import from_first_host
from vatt_gh.training.reading import damage_named, newest_whole
from vatt_gh.training.step import TrainState

REPORT = "init_from.json"


def start_from(
    state: TrainState, words: list[str], config: ConfigDict, workdir: Path
) -> TrainState:
    """Loads parameters and batch statistics from the checkpoint `config.init_from`, if it is set.

    Reports the variables read on the screen and in init_from.json in the work directory.

    Args:
        state: newly drawn state, on the host.
        words: the run's vocabulary.
        config: the whole configuration, checked.
        workdir: work directory of the run.

    Returns:
        The state with the checkpoint's parameters and statistics; step, optimizer and random key
        come from `state`.

    Raises:
        UserError: there is no such checkpoint, a shape or the vocabulary does not fit, or, without
            config.init_partial, checkpoint and model have different parts.
    """
    load_run = functools.partial(_load_run, state, words, config)
    return load_start(state, load_run, config, workdir)


def load_start(
    state: TrainState,
    load_run: Callable[[Path], tuple[Tree, Tree, Report]],
    config: ConfigDict,
    workdir: Path,
    modality: str = "video",
) -> TrainState:
    """Loads config.init_from into the state of a model or of a classifier, if it is set.

    Args:
        state, config, workdir: see `start_from`.
        load_run: reads parameters and batch statistics from the work directory of another run.
        modality: 'video' or 'audio': the original's tower that a classifier takes.

    Returns:
        See `start_from`.

    Raises:
        UserError: see `load_tf_checkpoint`, and what load_run raises.
    """
    kind, _, path = config.init_from.partition(":")
    if not kind:
        return state
    if kind == "tf":
        params, statistics, report = load_tf_checkpoint(
            path,
            state.params,
            state.statistics,
            modality=modality,
            stretch=config.init_stretch,
            partial=config.init_partial,
        )
    else:
        params, statistics, report = load_run(Path(path))
    _tell_origin(report, config, workdir)
    return state.replace(params=params, statistics=statistics)


def _tell_origin(report: Report, config: ConfigDict, workdir: Path) -> None:
    """Reports which variables were read, on the screen and in init_from.json."""
    if jax.process_index() == 0:
        print(_lines(report, config.init_from), flush=True)
        content = {
            "init_from": config.init_from,
            "init_stretch": config.init_stretch,
            "used": report.used,
            "stretched": report.stretched,
            "unused": report.unused,
            "missing": report.missing,
        }
        write_whole(Path(workdir) / REPORT, json.dumps(content, indent=1) + "\n")


def _lines(report: Report, origin: str) -> str:
    """Formats the number of variables read, and the names of all others."""
    lines = [f"Start: {len(report.used)} variables of {origin}"]
    for what, names in (
        ("stretched to another length", report.stretched),
        ("not used", report.unused),
        ("missing there, drawn anew", report.missing),
    ):
        lines += [f"  {what}: {name}" for name in names]
    return "\n".join(lines)


def fill_from_run(
    template: Tree, names: Names, source: dict[str, np.ndarray], stretch: Resampling
) -> tuple[Tree, Report]:
    """Fills a tree with parameters of one of our runs: see `interop.transfer.fill`.

    Args:
        template: nested dict of arrays.
        names: {path in the template: name in the run}.
        source: the run's arrays by name.
        stretch: how position tables are fitted, config.init_stretch.

    Returns:
        A tree like the template, and the report.

    Raises:
        UserError: a shape does not fit.
    """
    return fill(template, names, source, stretch=stretch, stretches=_is_table_of_positions)


def _is_table_of_positions(name: str) -> bool:
    return "/positions/" in name and name.endswith("/embedding")


def _load_run(
    state: TrainState, words: list[str], config: ConfigDict, workdir: Path
) -> tuple[Tree, Tree, Report]:
    source = read_run(workdir)
    if read_vocabulary(workdir / "vocabulary.txt") != words:
        raise UserError(
            "The run to start from has another vocabulary: its word vectors stand for other words.",
            where=workdir / "vocabulary.txt",
            expected="the vocabulary of this run",
            todo=f"set --config.data.vocabulary={workdir / 'vocabulary.txt'}",
        )
    template = {"params": state.params, "statistics": state.statistics}
    names = {path: "/".join(path) for path in flatten_dict(template)}
    filled, report = fill_from_run(template, names, source, config.init_stretch)
    if (report.unused or report.missing) and not config.init_partial:
        raise UserError(
            f"The run to start from has other parts: {len(report.missing)} parameters are missing "
            f"there, {len(report.unused)} have no place here, among them "
            f"{(report.missing + report.unused)[0]}.",
            where=workdir,
            expected="a model with the same parts",
            todo="set the model's kind, depth and heads to those of that run, or "
            "--config.init_partial=True to take what fits",
        )
    return filled["params"], filled["statistics"], report


def read_run(workdir: Path) -> dict[str, np.ndarray]:
    """Reads parameters and batch statistics from the newest checkpoint of one of our runs.

    Every host has to call this, and all read the same one: the newest that is whole on each.

    Args:
        workdir: work directory of that run.

    Returns:
        Arrays by name, such as 'params/towers/video/...' and 'statistics/...'.

    Raises:
        UserError: there is no checkpoint, or none is whole; a damaged newest one is not used, with
            a message.
    """
    directory = (Path(workdir) / "checkpoints").absolute()
    if not directory.is_dir():
        raise _no_checkpoint(directory)
    handlers = ocp.handlers.DefaultCheckpointHandlerRegistry()
    handlers.add("state", ocp.args.PyTreeRestore, ocp.PyTreeCheckpointHandler())
    handlers.add("meta", ocp.args.JsonRestore, ocp.JsonCheckpointHandler())
    options = ocp.CheckpointManagerOptions(create=False)
    with ocp.CheckpointManager(directory, options=options, handler_registry=handlers) as manager:
        steps = from_first_host(sorted(manager.all_steps(), reverse=True))
        if not steps:
            raise _no_checkpoint(directory)
        found, _ = newest_whole(
            steps,
            lambda step: _parameters(manager, step),
            where=directory,
            todo="put a copy of it back, or give another --config.init_from",
        )
        return found


def _parameters(manager: ocp.CheckpointManager, step: int) -> dict[str, np.ndarray]:
    """Reads parameters and batch statistics of a checkpoint; compares them with their digests."""
    with damage_named():
        read = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
    meta = checked(read["meta"])
    with damage_named():
        saved = manager.item_metadata(step)["state"].tree
        # The optimizer's state, twice as large, is not read.
        wanted = {name: saved[name] for name in ("params", "statistics") if saved.get(name)}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        arguments = ocp.args.PyTreeRestore(wanted, as_numpy, partial_restore=True)
        restored = manager.restore(step, args=ocp.args.Composite(state=arguments))["state"]
    arrays = flatten_dict(restored, sep="/")
    known = [n for n in meta.get(ARRAYS, arrays) if n.startswith(("params/", "statistics/"))]
    if sorted(known) != sorted(arrays):
        raise Damaged("its list of arrays is not what was written")
    check_arrays(meta, arrays)
    return arrays


def _no_checkpoint(directory: Path) -> UserError:
    return UserError(
        "There is no checkpoint to start from.",
        where=directory,
        expected="a checkpoint written by pre-training",
        todo="give the --workdir of a run that has written one, as orbax:WORKDIR",
    )
