"""Where a run's numbers go: JSONL files, TensorBoard, and a line on the screen."""

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

from vatt_gh.files import replacing


class JsonLines:
    """Appends rows to a file, each on a line of its own, on disk before the next call.

    Args:
        path: the file; what an earlier run wrote after `resume_step` is dropped, so that a
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
        path.open(encoding="utf-8") as old,
        partial.open("w", encoding="utf-8") as new,
    ):
        for line in old:
            # A run that was killed may leave half a line at the end: it has no line feed.
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                new.write(line)


class TensorBoard:
    """Scalars for TensorBoard through tf.summary; TensorFlow is imported on first use.

    Args:
        directory: where event files go.
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
    """A progress line with the numbers that tell whether a run is healthy.

    Args:
        steps: of the whole run.
        done: steps done before.
    """

    def __init__(self, steps: int, done: int):
        console = Console()
        # In a narrow terminal the numbers are cut, and not how far the run has come.
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
        numbers = (
            f"loss {row['loss']:.3f} ({', '.join(losses)}) "
            f"conflict {row['conflict_rate']:.0%} kept {row['kept_share']:.0%} "
            f"{row['samples_per_second']:.1f} samples/s"
        )
        self._progress.update(self._task, completed=row["step"], numbers=numbers)
        if not self._progress.console.is_terminal:
            line = f"step {row['step']} {numbers}"
            self._progress.console.print(line, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Takes the line off."""
        self._progress.stop()


class StepTimer:
    """Measures what a stretch of steps took, and how much of it was waiting for data."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._waited = 0.0

    def waited(self, seconds: float) -> None:
        """Adds time spent waiting for the input."""
        self._waited += seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out the time that something else takes."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def lap(self, steps: int, samples: int) -> dict[str, float]:
        """Numbers of the stretch since the last lap, which had `samples` samples a step."""
        now = time.perf_counter()
        seconds, waited = now - self._start, self._waited
        self._start, self._waited = now, 0.0
        return {
            "step_seconds": seconds / steps,
            "samples_per_second": steps * samples / seconds,
            "data_wait_share": waited / seconds,
        }


def to_row(step: int, metrics: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A row of plain numbers from a step's metrics."""
    row: dict[str, Any] = {"step": step}
    for name, value in metrics.items():
        row[name] = np.asarray(value).tolist()
    return row
