"""Outputs of a run's metrics: JSONL files, TensorBoard, and a line on the screen."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from vatt_gh.errors import UserError
from vatt_gh.files import replacing

# On the screen, where a run has them.
_SHARES = (("conflict", "conflict_rate"), ("kept", "kept_share"), ("right", "accuracy"))


class JsonLines:
    """Appends rows to a file, one per line, each on disk before the next call.

    Args:
        path: the file; rows after `resume_step` from an earlier run are dropped, so that a
            resumed run continues the file without repeating steps.
        resume_step: rows with a larger "step" are dropped.
    """

    def __init__(self, path: Path, resume_step: int):
        self._path = Path(path)
        if self._path.exists():
            _drop_rows_after(self._path, resume_step)
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Writes one row."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _drop_rows_after(path: Path, step: int) -> None:
    with (
        replacing(path) as partial,
        path.open(encoding="utf-8", errors="replace") as old,
        partial.open("w", encoding="utf-8") as new,
    ):
        for number, line in enumerate(old, start=1):
            # A killed run may leave an incomplete last line, without a line feed.
            if line.endswith("\n") and _step_of(line, path, number) <= step:
                new.write(line)


def _step_of(line: str, path: Path, number: int) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            "A row was not written by a run.",
            where=f"{path}, line {number}",
            expected='one JSON object a line with its step, such as {"step": 10, ...}',
            todo="mend or delete that line",
        ) from error


class TensorBoard:
    """Writes scalars for TensorBoard through tf.summary; imports TensorFlow on first use.

    Args:
        directory: directory for event files.
    """

    def __init__(self, directory: Path):
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(directory))

    def write(self, row: Mapping[str, Any]) -> None:
        """Writes the numbers of a row at its step."""
        with self._writer.as_default(step=row["step"]):
            for name, value in row.items():
                if isinstance(value, int | float) and name != "step":
                    self._tf.summary.scalar(name, value)

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


class Display:
    """A progress line with the numbers that show a run's health.

    Args:
        steps: number of steps of the whole run.
        done: number of steps done before.
    """

    def __init__(self, steps: int, done: int):
        console = Console()
        # In a narrow terminal the numbers are cut, not the progress.
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=8),
            TextColumn("{task.fields[numbers]}", table_column=rest),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            disable=not console.is_terminal,  # elsewhere `show` prints lines
        )
        self._task = self._progress.add_task("train", total=steps, completed=done, numbers="")
        self._progress.start()

    def show(self, row: Mapping[str, Any]) -> None:
        """Shows a row of metrics."""
        losses = [f"{key[5:]} {x:.3f}" for key, x in row.items() if key.startswith("loss_")]
        parts = f" ({', '.join(losses)})" if losses else ""
        shares = "".join(f"{word} {row[key]:.0%} " for word, key in _SHARES if key in row)
        numbers = f"loss {row['loss']:.3f}{parts} {shares}{row['samples_per_second']:.1f} samples/s"
        self._progress.update(self._task, completed=row["step"], numbers=numbers)
        if not self._progress.console.is_terminal:
            line = f"step {row['step']} {numbers}"
            self._progress.console.print(line, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Removes the line."""
        self._progress.stop()


class StepTimer:
    """Measures the time of a stretch of steps, and the part spent waiting for data."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forgets the time until now."""
        self._start, self._waited = time.perf_counter(), 0.0

    def waited(self, seconds: float) -> None:
        """Adds time spent waiting for the input."""
        self._waited += seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the time of other work."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def lap(self, steps: int, samples: int) -> dict[str, float]:
        """Returns numbers for the steps since the last lap, with `samples` samples per step."""
        now = time.perf_counter()
        seconds, waited = now - self._start, self._waited
        self._start, self._waited = now, 0.0
        return {
            "step_seconds": seconds / steps,
            "samples_per_second": steps * samples / seconds,
            "data_wait_share": waited / seconds,
        }


def to_row(step: int, metrics: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Converts a step's metrics to a row of plain numbers."""
    row: dict[str, Any] = {"step": step}
    for name, value in metrics.items():
        row[name] = np.asarray(value).tolist()
    return row
