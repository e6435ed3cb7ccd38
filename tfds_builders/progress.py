"""Progress of a build: videos, hours, rate, time left."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_QUIET = 30.0  # s between lines without a terminal


class Progress:
    """A progress line on a terminal; elsewhere an occasional line.

    Args:
        name: name of the data set.
        videos: number of videos to build.
    """

    def __init__(self, name: str, videos: int):
        self._name, self._videos = name, videos
        self._done, self._seconds = 0, 0.0
        self._begin = self._told = time.monotonic()
        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("videos {task.fields[rate]} ETA"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=videos, rate="")

    def add(self, seconds: float) -> None:
        """Counts a finished video and its length in seconds (0: it could not be used)."""
        self._done, self._seconds = self._done + 1, self._seconds + seconds
        now = time.monotonic()
        rate = f"{self._seconds / max(now - self._begin, 1e-9):.0f} s of video a second"
        self._bar.update(self._task, completed=self._done, rate=rate)
        if self._bar.disable and now > self._told + _QUIET:
            self._told = now
            left = (now - self._begin) / self._done * (self._videos - self._done)
            line = f"{self._name}: {self._done} of {self._videos} videos, {rate}, "
            print(f"{line}{left / 60:.0f} minutes left", flush=True)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
