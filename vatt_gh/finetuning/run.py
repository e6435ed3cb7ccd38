"""Fine-tuning from records and a pre-trained tower to checkpoints and results."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.config.checks import validate
from vatt_gh.data.labelled import labelled_batches
from vatt_gh.data.sources import Build
from vatt_gh.errors import UserError
from vatt_gh.evaluation.held_out import TRAINED, UNTRAINED
from vatt_gh.evaluation.loading import CLASSES
from vatt_gh.evaluation.scoring import as_row, print_group
from vatt_gh.files import write_whole
from vatt_gh.finetuning.score import COUNT, GROUP, score
from vatt_gh.finetuning.start import start_classifier, with_model_of_start
from vatt_gh.finetuning.step import create_classifier_state, finetune_step, sgd_of
from vatt_gh.finetuning.task import Task, modality_of, open_task
from vatt_gh.models.classifier import build_classifier
from vatt_gh.report.page import known_references
from vatt_gh.report.results import write_results
from vatt_gh.report.run import write_report
from vatt_gh.training.claims import claim_workdir, owned
from vatt_gh.training.construct import model_of, zero_sample
from vatt_gh.training.loop import run_training
from vatt_gh.training.parallel import AXIS, all_hosts, first_host_first
from vatt_gh.training.step import TrainState
from vatt_gh.training.writer import of_host


def finetune(
    config: ConfigDict,
    workdir: Path,
    *,
    build: Build | None = None,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Trains a classifier up to train.steps and scores it; continues from its newest checkpoint.

    Args:
        config: the whole configuration, checked.
        workdir: directory for checkpoints, metrics.jsonl, classes.txt, results.json and the page.
        build: builds missing records, see `find_or_build`.
        stop_after: end at this step, with a checkpoint, like an interrupted run.

    Returns:
        The results, as in results.json: see `score`, with the step and the number of unreadable
        records.

    Raises:
        UserError: the configuration, the data, the work directory or the start is not usable.
        FloatingPointError: a loss or gradient is not finite; names step, metric and samples.
        Stopped: the training was asked to stop; the last step is saved.
    """
    config = with_model_of_start(config, workdir)
    modality = modality_of(config.data)
    validate(
        config,
        devices=jax.device_count(),
        hosts=jax.process_count(),
        modalities=(modality,),
    )
    with owned(workdir):
        return _finetune(config, workdir, modality, build, stop_after)


def _finetune(
    config: ConfigDict,
    workdir: Path,
    modality: str,
    build: Build | None,
    stop_after: int | None,
) -> dict[str, Any]:
    task = first_host_first(functools.partial(_prepared, config, workdir, build))
    model = build_classifier(
        config.model,
        modality,
        classes=len(task.classes),
        audio_rate=task.train.audio_rate,
        multi_label=task.multi_label,
        dropout_rate=config.finetune.dropout_rate,
        freeze_backbone=config.finetune.freeze,
    )
    optimizer = sgd_of(config.train, config.finetune)
    task.test.unreadable.log = of_host(workdir, "skipped")  # run_training does so for task.train
    weights = {}

    def draw() -> TrainState:
        drawn = create_classifier_state(
            model, optimizer, zero_sample(config.data)[modality], config.seed
        )
        # A copy: steps donate their state's memory.
        weights[UNTRAINED] = jax.tree.map(np.array, drawn.params)
        return drawn

    def row(state: TrainState) -> dict[str, float]:
        return as_row(score(model, {TRAINED: state.params}, task, config), [GROUP])

    state = run_training(
        config,
        workdir,
        [task.train],
        draw=draw,
        start=lambda drawn: start_classifier(drawn, modality, config, workdir),
        batches=functools.partial(labelled_batches, task.train, config, modality),
        step=functools.partial(
            finetune_step,
            model=model,
            optimizer=optimizer,
            tokens=model_of(config, words=1, audio_rate=task.train.audio_rate),
            modality=modality,
            config=config,
            axis_name=AXIS,
        ),
        score=row if config.eval.every else None,
        stop_after=stop_after,
        keys=(modality, f"{modality}_mask", names.LABEL, names.COLOUR, names.INDEX),
    )
    results = score(model, {TRAINED: state.params, **weights}, task, config)
    results["step"] = int(state.step)
    results["unreadable"] = len(set().union(*all_hosts(task.test.unreadable.seen)))
    if jax.process_index() == 0:
        _write(results, workdir)
    return results


def _prepared(config: ConfigDict, workdir: Path, build: Build | None) -> Task:
    """Opens the records, and claims the work directory."""
    kind, _, start = config.init_from.partition(":")
    if kind == "orbax" and Path(start).resolve() == Path(workdir).resolve():
        raise UserError(
            "The run to start from is in the same work directory.",
            where=f"--workdir={workdir}",
            expected="a directory of its own for the fine-tuning",
            todo="give another --workdir",
        )
    task = claim_workdir(workdir, config, lambda: open_task(config.data, config.finetune, build))
    path, classes = Path(workdir) / CLASSES, "".join(f"{name}\n" for name in task.classes)
    if not path.exists():
        write_whole(path, classes)
    elif path.read_text(encoding="utf-8") != classes:
        raise UserError(
            "The records have other classes than those that this run has learnt.",
            where=path,
            expected="the same names in the same order: a class's number is its line",
            todo="give the records of that run, or another --workdir",
        )
    return task


def _write(results: dict[str, Any], workdir: Path) -> None:
    write_results(workdir, "results", results)
    scores = results[GROUP]
    print_group(GROUP, results[COUNT], scores, known_references(list(scores.values())))
    print(f"Report: {write_report(workdir)}")
