"""Training from records to checkpoints: opens the input, resumes, steps, writes metrics."""

import functools
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from vatt_gh.batch import DEVICE_KEYS
from vatt_gh.batch import check as check_batch
from vatt_gh.data.pipeline import training_batches
from vatt_gh.data.records import Source
from vatt_gh.data.selection import digest_of
from vatt_gh.data.sources import Build, open_sources, word_counts
from vatt_gh.data.text import Tokenizer, vocabulary_of
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.claims import claim_workdir, owned
from vatt_gh.training.construct import check_mel_filters, model_of, optimizer_of, zero_sample
from vatt_gh.training.initial import start_from
from vatt_gh.training.parallel import (
    AXIS,
    Step,
    first_host_first,
    parallel_step,
    prefetch,
    replicate,
)
from vatt_gh.training.retention import CheckpointClock
from vatt_gh.training.step import StepOutput, TrainState, create_state, train_step
from vatt_gh.training.stopping import Stopped, Stopping
from vatt_gh.training.watchdog import Watchdog
from vatt_gh.training.writer import Writer, check_finite

# Scores a run during training: (its state) -> numbers for a row of metrics.jsonl
Scorer = Callable[[TrainState], dict[str, float]]
# Batches of this host, and what stays on it.
Batches = Generator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]


def pretrain(
    config: ConfigDict,
    workdir: Path,
    *,
    build: Build | None = None,
    scoring: Callable[[int], Scorer] | None = None,
    stop_after: int | None = None,
) -> TrainState:
    """Trains up to train.steps; continues from the newest checkpoint of the work directory.

    A new run starts from the parameters of config.init_from, if it is set.

    Args:
        config: the whole configuration, checked.
        workdir: folder for checkpoints, metrics.jsonl, samples.jsonl, vocabulary.txt, TensorBoard.
        build: builds missing records, see `find_or_build`.
        scoring: called with the rate of the sound, in Hz, once the records exist; its result is
            called every eval.every steps. None: no scores.
        stop_after: end at this step, with a checkpoint, like an interrupted run.

    Returns:
        The last state, replicated on the devices of this host.

    Raises:
        UserError: the configuration, the data or the work directory is not usable.
        FloatingPointError: a loss or gradient is not finite; names step, metric and samples.
        Stopped: the training was asked to stop; the last step is saved.
    """
    with owned(workdir):
        return _pretrain(config, workdir, build, scoring, stop_after)


def _pretrain(
    config: ConfigDict,
    workdir: Path,
    build: Build | None,
    scoring: Callable[[int], Scorer] | None,
    stop_after: int | None,
) -> TrainState:
    sources, words = _open_input(config, workdir, build)
    audio_rate = sources[0].audio_rate
    score = None if scoring is None else scoring(audio_rate)
    model = model_of(config, words=len(words), audio_rate=audio_rate, axis_name=AXIS)
    optimizer = optimizer_of(config.train)

    def start(drawn: TrainState) -> TrainState:
        check_mel_filters(config.model.audio, audio_rate)
        return start_from(drawn, words, config, workdir)

    return run_training(
        config,
        workdir,
        sources,
        draw=lambda: create_state(model, optimizer, zero_sample(config.data), config.seed),
        start=start,
        batches=functools.partial(
            training_batches, sources, Tokenizer(words, config.data.words), config
        ),
        step=functools.partial(
            train_step, model=model, optimizer=optimizer, config=config, axis_name=AXIS
        ),
        score=score,
        stop_after=stop_after,
    )


def run_training(
    config: ConfigDict,
    workdir: Path,
    sources: Sequence[Source],
    *,
    draw: Callable[[], TrainState],
    start: Callable[[TrainState], TrainState],
    batches: Callable[..., Batches],
    step: Step,
    score: Scorer | None,
    stop_after: int | None,
    keys: Sequence[str] = DEVICE_KEYS,
) -> TrainState:
    """Trains from the newest checkpoint, or from a new state; the work directory is owned.

    Args:
        config: the whole configuration.
        workdir: work directory of the run.
        sources: the records; a run goes on only with as many of them.
        draw: draws a state.
        start: makes a new run's state from the drawn one, on the host.
        batches: yields batches of this host by position, host and hosts, see `training_batches`.
        step: training step of one device, see `parallel_step`.
        score: called every eval.every steps, if given.
        stop_after: see `pretrain`.
        keys: the arrays of a batch.

    Returns:
        The last state.

    Raises:
        UserError: no checkpoint is whole, or there is nothing to start from.
        FloatingPointError: see `check_finite`.
        Stopped: the training was asked to stop; the last step is saved.
    """
    counts = [source.count for source in sources]
    rate, selection = sources[0].audio_rate, digest_of(sources[0].selection)
    end = config.train.steps if stop_after is None else min(stop_after, config.train.steps)
    with Checkpoints(workdir, config.train, counts, rate, selection, owned=True) as checkpoints:
        # Drawn in the call, so that its memory is free when steps are taken.
        state, position = _first_state(draw(), checkpoints, start)
        with closing(Writer(config.train, workdir, int(state.step), sources)) as writer:
            given = batches(position=position, host=jax.process_index(), hosts=jax.process_count())
            return _run_steps(
                state, position, end, step, given, checkpoints, writer, config, score, keys
            )


def _first_state(
    drawn: TrainState, checkpoints: Checkpoints, start: Callable[[TrainState], TrainState]
) -> tuple[TrainState, int]:
    """Finds the state that a run goes on from, on all devices, and the input's position."""
    if checkpoints.latest() is None:
        return replicate(start(jax.device_get(drawn))), 0
    state, position = checkpoints.restore(replicate(drawn), set_aside=True)
    if jax.process_index() == 0:
        print(f"Continues from step {int(state.step)}", flush=True)
    return state, position


def _run_steps(
    state: TrainState,
    position: int,
    end: int,
    step: Step,
    given: Batches,
    checkpoints: Checkpoints,
    writer: Writer,
    config: ConfigDict,
    score: Scorer | None,
    keys: Sequence[str],
) -> TrainState:
    """Trains up to step `end`, from 1; donates the state's buffers, and closes the input."""
    begin = number = int(state.step)
    step, clock, stop = parallel_step(step), CheckpointClock(config.train), 0
    pending: tuple[int, StepOutput, dict[str, np.ndarray], dict[str, float]] | None = None
    # An error's traceback would keep the input until the interpreter exits, where tf.data hangs:
    # its destructor waits for reads in Python.
    minutes = config.train.stall_minutes
    with closing(given), Stopping() as stopping, Watchdog(minutes) as watchdog:
        batches = prefetch(_first_is_checked(given, keys), config.data.prefetch)
        while number < end:
            waiting = time.perf_counter()
            arrays, host = next(batches)
            writer.timer.waited(time.perf_counter() - waiting)
            state, output = step(state, arrays)
            if number == begin:  # opening the input and compiling are no steps
                writer.timer.restart()
            number += 1
            position += config.train.batch_size
            # The previous step is checked while the devices run this one.
            if pending is not None:
                writer.take(*pending)
            watchdog.progress()
            stop = stopping.asked(number)
            scores = {}
            if score is not None and number % config.eval.every == 0 and not stop:
                # Waits for the step: a non-finite one is not scored, and its time does not count
                # as scoring.
                if not config.train.skip_nonfinite:  # else such a step has changed nothing
                    check_finite(number, *jax.device_get(output), host)
                with writer.timer.paused(), watchdog.paused():
                    scores = stopping.at_once(functools.partial(score, state)) or {}
                stop = stopping.interrupted
            pending = (number, output, host, scores)
            wanted = number % config.train.checkpoint_every == 0 or number == end
            wanted |= checkpoints.is_better(number, scores)
            if stop or wanted or clock.due(number):
                writer.take(*pending)  # no unchecked step is ever saved
                pending = None
                if stop:  # this step will not be saved later
                    checkpoints.settle()
                checkpoints.save(state, position)
                clock.restart()
            elif number % config.train.log_every == 0:
                checkpoints.check_saved()
            checkpoints.check_named(scores)
            if stop:
                break
        checkpoints.wait()  # here, where a signal is only noted
        stop = stop or stopping.interrupted
        if stop:
            raise Stopped(stop, number)
    return state


def _first_is_checked(
    batches: Iterator[tuple[dict, dict]], keys: Sequence[str]
) -> Iterator[tuple[dict, dict]]:
    """Yields the batches, and checks the first one against the forms of batch.py."""
    first = next(batches, None)
    if first is not None:
        check_batch(first[0], keys)
        yield first
    yield from batches


def _open_input(
    config: ConfigDict, workdir: Path, build: Build | None
) -> tuple[list[Source], list[str]]:
    """Opens every data set's records, and the words by id; one host builds what is missing."""
    data = config.data

    def opening() -> tuple[list[Source], list[str]]:
        sources = open_sources(data, build)
        counts = functools.partial(word_counts, sources)
        return sources, vocabulary_of(workdir, data.vocabulary, counts, data.vocabulary_size)

    return first_host_first(lambda: claim_workdir(workdir, config, opening))
