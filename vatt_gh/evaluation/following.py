"""Scores checkpoints as a training that runs elsewhere writes them."""

import json
import time
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vatt_gh.data.sources import Build
from vatt_gh.errors import UserError
from vatt_gh.evaluation.evaluators import evaluate
from vatt_gh.evaluation.held_out import TRAINED, HeldOut, Known
from vatt_gh.evaluation.loading import load_for_evaluation, weights_of
from vatt_gh.evaluation.scoring import as_row, held_out_source
from vatt_gh.files import write_whole
from vatt_gh.report.jsonl import read_jsonl
from vatt_gh.report.run import EVALUATIONS
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.parallel import all_hosts
from vatt_gh.training.step import TrainState

_PAUSE = 10.0  # s between looks for new checkpoints


def follow(
    config: ConfigDict, workdir: Path, *, build: Build | None = None, known: Known | None = None
) -> list[dict[str, Any]]:
    """Scores every checkpoint of a work directory, and each new one, up to train.steps.

    Appends a row {'step', 'eval.retrieval.r5', ...} to WORKDIR/evaluations.jsonl for each, for
    another data set or split to evaluations_SET_SPLIT.jsonl; what that file has is not scored
    again. A checkpoint that training deletes first is left out.

    Args:
        config: the whole configuration, as in training.
        workdir: work directory of the run; its first checkpoint is waited for.
        build: builds missing records, see `find_or_build`.
        known: the truth about the held-out clips.

    Returns:
        All rows of the file.

    Raises:
        UserError: a checkpoint is damaged, or there are no records to evaluate on.
    """
    path = Path(workdir) / _file(config)
    config = config.copy_and_resolve_references()
    config.eval.checkpoint = "newest"  # all are scored
    source = held_out_source(config, workdir, build)
    _wait_for_the_first(config.train, workdir)
    model, drawn, _, words, *_ = load_for_evaluation(config, workdir, source.audio_rate)
    rows = read_jsonl(path, ("step",)) if path.exists() else []
    while True:
        with Checkpoints(workdir, config.train, audio_rate=source.audio_rate) as checkpoints:
            for step in sorted({*checkpoints.steps()} - {row["step"] for row in rows}):
                state = _restored(checkpoints, drawn, step)
                if state is None:
                    continue
                weights = {TRAINED: weights_of(state)}
                results = evaluate(HeldOut(model, weights, source, words, config, known))
                rows.append({"step": step, **as_row(results)})
                if jax.process_index() == 0:
                    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))
                    print(json.dumps(rows[-1]), flush=True)
        if any(row["step"] >= config.train.steps for row in rows):
            return rows
        time.sleep(_PAUSE)


def _file(config: ConfigDict) -> str:
    """Names the file of rows; each data set and split has its own."""
    another = config.eval.builder if config.eval.builder != config.data.builder else ""
    parts = [EVALUATIONS, another, config.eval.split]
    return "_".join(part for part in parts if part) + ".jsonl"


def _wait_for_the_first(train: ConfigDict, workdir: Path) -> None:
    while True:
        with Checkpoints(workdir, train) as checkpoints:
            if checkpoints.latest() is not None:
                return
        time.sleep(_PAUSE)


def _restored(checkpoints: Checkpoints, like: TrainState, step: int) -> TrainState | None:
    """Restores a state; None on all hosts if training deleted it before one could read it."""
    state = error = None
    try:
        state, _ = checkpoints.restore(like, step)
    except UserError as problem:
        error = problem
    if all(all_hosts(error is None)):
        return state
    time.sleep(_PAUSE)  # a deletion takes a moment
    if step in checkpoints.steps_on_disk() and error is not None:
        raise error
    return None
