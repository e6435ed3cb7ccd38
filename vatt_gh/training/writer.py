"""Writes the outputs of a training: rows of metrics and of samples, TensorBoard, the screen."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vatt_gh.data.records import Source
from vatt_gh.report.jsonl import METRICS, read_jsonl
from vatt_gh.training.claims import first_start
from vatt_gh.training.construct import learning_rate_of
from vatt_gh.training.metrics import Display, JsonLines, StepTimer, TensorBoard, to_row
from vatt_gh.training.parallel import all_hosts, from_first_host
from vatt_gh.training.step import StepOutput

_COUNTS = ("step", "empty_steps")  # still logged for a non-finite step
# Numbers that differ between hosts; rows have the first one's, and how far the others are apart.
OF_HOSTS = ("step_seconds", "data_wait_share", "unreadable")


class Writer:
    """Checks every step's numbers, and writes those that are due.

    Args:
        train: section of the configuration.
        workdir: work directory of the run; the first host writes metrics there, each its samples.
        done: number of steps done before.
        sources: the records that are read.
    """

    def __init__(self, train: ConfigDict, workdir: Path, done: int, sources: Sequence[Source]):
        self._train = train
        self._rate = learning_rate_of(train)
        self._last = done
        self._empty = 0
        self._began, self._good = first_start(workdir), 0.0
        self._skipped = 0
        self.timer = StepTimer()
        self._board = self._rows = self._display = self._samples = None
        self._unreadable = [source.unreadable for source in sources]
        for unreadable in self._unreadable:
            unreadable.log = of_host(workdir, "skipped")
        if train.log_samples_every:
            self._samples = JsonLines(of_host(workdir, "samples"), done)
        if jax.process_index() == 0:
            self._rows = JsonLines(workdir / METRICS, done)
            rows = read_jsonl(workdir / METRICS, ("step",))
            self._good = seconds_of_steps(rows)
            self._skipped = rows[-1].get("skipped_steps", 0) if rows else 0
            self._board = TensorBoard(workdir / "tensorboard")
            self._display = Display(train.steps, done)
        self._skipped = from_first_host(self._skipped)

    def take(
        self,
        number: int,
        output: StepOutput,
        host: dict[str, np.ndarray],
        scores: dict[str, float],
    ) -> None:
        """Checks and writes the report of step `number` (from 1), with the scores after it."""
        metrics, samples = jax.device_get(output)
        finite = self._check(number, metrics, samples, host)
        if metrics["empty_steps"] > self._empty:
            print(f"step {number} has no sample to learn from: none was kept, or could be read")
        self._empty = int(metrics["empty_steps"])
        every = self._train.log_samples_every
        if every and number % every == 0:
            self._samples.write(_sample_row(number, samples, host))
        due = number % self._train.log_every == 0 or number == self._train.steps
        # A step that is left out has a row at once: from there a restart knows how many there were.
        if not due and finite:
            return
        row = to_row(number, metrics)
        if not finite:  # a gap in the pictures
            row = {name: x if name in _COUNTS else None for name, x in row.items()}
        if self._train.skip_nonfinite:
            row["skipped_steps"] = self._skipped
        row["learning_rate"] = float(self._rate(jnp.asarray(number - 1)))
        row |= self.timer.lap(number - self._last, self._train.batch_size) | scores
        row["unreadable"] = sum(map(len, self._unreadable))
        row |= spread_over_hosts({name: row[name] for name in OF_HOSTS})
        self._good += row["step_seconds"] * (number - self._last - (not finite))
        row["goodput"] = self._good / max(time.time() - self._began, self._good)
        self._last = number
        if self._rows is not None:
            self._rows.write(row)
            self._board.write(row)
            if finite:
                self._display.show(row)

    def _check(
        self,
        number: int,
        metrics: dict[str, np.ndarray],
        samples: dict[str, np.ndarray],
        host: dict[str, np.ndarray],
    ) -> bool:
        """Tells whether a step is finite; raises where train.skip_nonfinite allows no other."""
        try:
            check_finite(number, metrics, samples, host)
            return True
        except FloatingPointError as error:
            self._skipped += 1
            if self._skipped > self._train.skip_nonfinite:
                raise
            print(f"left out: {error}", flush=True)
            return False

    def close(self) -> None:
        """Closes all files."""
        for sink in (self._samples, self._rows, self._board, self._display):
            if sink is not None:
                sink.close()


def of_host(workdir: Path, name: str) -> Path:
    """Names the file workdir / 'NAME.jsonl' of the first host; others' names have their number."""
    host = jax.process_index()
    return workdir / (f"{name}.{host}.jsonl" if host else f"{name}.jsonl")


def seconds_of_steps(rows: Sequence[dict[str, Any]]) -> float:
    """Sums the seconds that the steps of these rows took: the time that was not lost.

    Args:
        rows: rows of metrics.jsonl, in order; each tells the mean time of the steps since the last,
            and how many steps changed nothing so far.
    """
    total, last, skipped = 0.0, 0, 0
    for row in rows:
        now = row.get("skipped_steps", skipped)
        total += row.get("step_seconds", 0.0) * (row["step"] - last - (now - skipped))
        last, skipped = row["step"], now
    return total


def spread_over_hosts(mine: dict[str, float]) -> dict[str, float]:
    """Computes minimum, mean and maximum over hosts, as in 'data_wait_share_max'; {} on one host.

    Args:
        mine: numbers of this host; every host has to call this.
    """
    if jax.process_count() == 1:
        return {}
    every = all_hosts(mine)
    found = {}
    for name in mine:
        values = [host[name] for host in every]
        for how, of in (("min", np.min), ("mean", np.mean), ("max", np.max)):
            found[f"{name}_{how}"] = float(of(values))
    return found


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
    row: dict[str, Any] = {
        "step": number,
        "video_id": [x.decode("utf-8") for x in host["video_id"]],
        "start": [round(float(x), 4) for x in host["start"]],
        "end": [round(float(x), 4) for x in host["end"]],
    }
    if "cosine" not in flat:  # fine-tuning
        return row | {name: _numbers(x) for name, x in flat.items()}
    cosine = np.where(flat["defined"], flat["cosine"], np.nan)
    return row | {"cosine": _numbers(cosine), "weight": _numbers(flat["weight"])}


def _numbers(values: np.ndarray) -> list[float | None]:
    """Replaces what is not finite by None: JSON has no number for it."""
    return [x if np.isfinite(x) else None for x in values.astype(float).tolist()]
