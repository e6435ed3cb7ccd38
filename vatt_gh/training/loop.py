"""Pre-training from records to checkpoints: opens the input, resumes, steps, writes metrics."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from vatt_gh.batch import check as check_batch
from vatt_gh.data.pipeline import training_batches
from vatt_gh.data.records import Source
from vatt_gh.data.sources import Build, open_sources, word_counts
from vatt_gh.data.text import Tokenizer, vocabulary_of
from vatt_gh.training.checkpoints import Checkpoints, claim_workdir
from vatt_gh.training.construct import learning_rate_of, model_of, optimizer_of, zero_sample
from vatt_gh.training.initial import start_from
from vatt_gh.training.metrics import Display, JsonLines, StepTimer, TensorBoard, to_row
from vatt_gh.training.parallel import AXIS, parallel_step, prefetch, replicate
from vatt_gh.training.step import StepOutput, TrainState, create_state

# Scores a run during training: (its state) -> numbers for a row of metrics.jsonl
Score = Callable[[TrainState], dict[str, float]]


def pretrain(
    config: ConfigDict,
    workdir: Path,
    *,
    build: Build | None = None,
    scoring: Callable[[int], Score] | None = None,
    stop_after: int | None = None,
) -> TrainState:
    """Trains up to train.steps; continues from the newest checkpoint of the work directory.

    A new run starts from the parameters of config.init_from, if it is set.

    Args:
        config: the whole configuration, checked.
        workdir: for checkpoints, metrics.jsonl, samples.jsonl, vocabulary.txt, TensorBoard.
        build: builds missing records, see `find_or_build`.
        scoring: called with the rate of the sound, in Hz, once the records exist; its result is
            called every eval.every steps. None: no scores.
        stop_after: end at this step, with a checkpoint, like an interrupted run.

    Returns:
        The last state, replicated on the devices of this host.

    Raises:
        UserError: the configuration, the data or the work directory is not usable.
        FloatingPointError: a loss or gradient is not finite; names step, metric and samples.
    """
    host = jax.process_index()
    sources, words = open_input(config, workdir, build)
    audio_rate = sources[0].audio_rate
    score = None if scoring is None else scoring(audio_rate)
    model = model_of(config, words=len(words), audio_rate=audio_rate, axis_name=AXIS)
    optimizer = optimizer_of(config.train)
    state = replicate(create_state(model, optimizer, zero_sample(config.data), config.seed))
    position = 0
    with ExitStack() as stack:
        records = [source.count for source in sources]
        selection = sources[0].selection
        checkpoints = stack.enter_context(
            Checkpoints(
                workdir,
                config.train,
                records,
                audio_rate,
                "" if selection is None else selection.digest,
            )
        )
        if checkpoints.latest() is not None:
            state, position = checkpoints.restore(state)
        elif config.init_from:
            state = replicate(start_from(jax.device_get(state), words, config, workdir))
        writer = _Writer(config, workdir, int(state.step), host, sources)
        stack.callback(writer.close)
        given = training_batches(
            sources,
            Tokenizer(words, config.data.words),
            config,
            position=position,
            host=host,
            hosts=jax.process_count(),
        )
        # An error's traceback would keep it until the interpreter exits, where tf.data hangs:
        # its destructor waits for reads in Python.
        given = _first_is_checked(stack.enter_context(closing(given)))
        batches = prefetch(given, config.data.prefetch)
        step = parallel_step(model, optimizer, config)
        end = config.train.steps if stop_after is None else min(stop_after, config.train.steps)
        return _run(state, position, end, step, batches, checkpoints, writer, score, config)


def _first_is_checked(batches: Iterator[tuple[dict, dict]]) -> Iterator[tuple[dict, dict]]:
    """Yields the batches, and checks the first one against the forms of batch.py."""
    first = next(batches, None)
    if first is not None:
        check_batch(first[0])
        yield first
    yield from batches


def _run(
    state: TrainState,
    position: int,
    end: int,
    step: Any,
    batches: Iterator[tuple[dict[str, jax.Array], dict[str, np.ndarray]]],
    checkpoints: Checkpoints,
    writer: "_Writer",
    score: Score | None,
    config: ConfigDict,
) -> TrainState:
    number = int(state.step)
    pending: tuple[int, StepOutput, dict[str, np.ndarray], dict[str, float]] | None = None
    while number < end:
        waiting = time.perf_counter()
        arrays, host = next(batches)
        writer.timer.waited(time.perf_counter() - waiting)
        state, output = step(state, arrays)
        number += 1
        position += config.train.batch_size
        # The previous step is checked while the devices run this one.
        if pending is not None:
            writer.take(*pending)
        scores = {}
        if score is not None and number % config.eval.every == 0:
            # Waits for the step: what is not finite has no score, and its time is not the score's.
            check_finite(number, *jax.device_get(output), host)
            with writer.timer.paused():
                scores = score(state)
        pending = (number, output, host, scores)
        if number % config.train.checkpoint_every == 0 or number == end:
            writer.take(*pending)  # no unchecked step is ever saved
            pending = None
            checkpoints.save(state, position)
    return state


class _Writer:
    """Checks every step's numbers, and writes those that are due."""

    def __init__(
        self,
        config: ConfigDict,
        workdir: Path,
        done: int,
        host: int,
        sources: list[Source],
    ):
        self._config = config
        self._rate = learning_rate_of(config.train)
        self._last = done
        self._empty = 0
        self.timer = StepTimer()
        self._board = self._rows = self._display = self._samples = None
        suffix = f".{host}" if host else ""
        self._unreadable = [source.unreadable for source in sources]
        for unreadable in self._unreadable:
            unreadable.log = workdir / f"skipped{suffix}.jsonl"
        if config.train.log_samples_every:
            self._samples = JsonLines(workdir / f"samples{suffix}.jsonl", done)
        if host == 0:
            self._rows = JsonLines(workdir / "metrics.jsonl", done)
            self._board = TensorBoard(workdir / "tensorboard")
            self._display = Display(config.train.steps, done)

    def take(
        self,
        number: int,
        output: StepOutput,
        host: dict[str, np.ndarray],
        scores: dict[str, float],
    ) -> None:
        """Checks and writes the report of step `number` (from 1), with the scores after it."""
        metrics, samples = jax.device_get(output)
        check_finite(number, metrics, samples, host)
        if metrics["empty_steps"] > self._empty:
            print(f"step {number} has no sample to learn from: none was kept, or could be read")
        self._empty = int(metrics["empty_steps"])
        every = self._config.train.log_samples_every
        if every and number % every == 0:
            self._samples.write(_sample_row(number, samples, host))
        due = number % self._config.train.log_every == 0 or number == self._config.train.steps
        if not due:
            return
        row = to_row(number, metrics)
        row["learning_rate"] = float(self._rate(jnp.asarray(number - 1)))
        row["unreadable"] = sum(map(len, self._unreadable))
        row |= self.timer.lap(number - self._last, self._config.train.batch_size) | scores
        self._last = number
        if self._rows is not None:
            self._rows.write(row)
            self._board.write(row)
            self._display.show(row)

    def close(self) -> None:
        """Closes all files."""
        for sink in (self._samples, self._rows, self._board, self._display):
            if sink is not None:
                sink.close()


def check_finite(
    number: int,
    metrics: dict[str, np.ndarray],
    samples: dict[str, np.ndarray],
    host: dict[str, np.ndarray],
) -> None:
    """Stops a run with non-finite numbers.

    Args:
        number: number of the step, from 1.
        metrics: scalars of the step.
        samples: [devices, b], values of this host's samples.
        host: 'video_id' and 'start' [local batch] of the same samples.

    Raises:
        FloatingPointError: names the step, the metrics and the samples.
    """
    bad = sorted(name for name, value in metrics.items() if not np.all(np.isfinite(value)))
    if not bad:
        return
    finite = np.all([np.isfinite(x).reshape(-1) for x in samples.values()], axis=0)
    which = [
        f"{host['video_id'][i].decode('utf-8', 'replace')} at {host['start'][i]:.2f} s"
        for i in np.flatnonzero(~finite)
    ]
    raise FloatingPointError(
        f"step {number}: {', '.join(bad)} not finite; samples of this host with numbers that are "
        f"not finite: {', '.join(which) or 'none, the parameters or gradients are at fault'}. "
        "Nothing of this step was saved."
    )


def _sample_row(
    number: int, samples: dict[str, np.ndarray], host: dict[str, np.ndarray]
) -> dict[str, Any]:
    flat = {name: np.asarray(x).reshape(-1) for name, x in samples.items()}
    cosine = [float(c) if d else None for c, d in zip(flat["cosine"], flat["defined"], strict=True)]
    return {
        "step": number,
        "video_id": [x.decode("utf-8") for x in host["video_id"]],
        "start": [round(float(x), 4) for x in host["start"]],
        "end": [round(float(x), 4) for x in host["end"]],
        "cosine": cosine,
        "weight": flat["weight"].tolist(),
    }


def open_input(
    config: ConfigDict, workdir: Path, build: Build | None = None
) -> tuple[list[Source], list[str]]:
    """Opens the records and the vocabulary of a run; one host builds what is missing.

    Args:
        config: the whole configuration.
        workdir: work directory of the run, for the configuration and the vocabulary.
        build: see `find_or_build`.

    Returns:
        The records of every data set, and the words by id.

    Raises:
        UserError: see `open_sources`, `claim_workdir` and `vocabulary_of`.
    """
    data = config.data

    def prepare() -> tuple[list[Source], list[str]]:
        claim_workdir(workdir, config)
        sources = open_sources(data, build)
        counts = functools.partial(word_counts, sources)
        return sources, vocabulary_of(workdir, data.vocabulary, counts, data.vocabulary_size)

    if jax.process_index() == 0:
        opened = prepare()
        _wait_for_all("input")
        return opened
    _wait_for_all("input")
    return prepare()


def _wait_for_all(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
