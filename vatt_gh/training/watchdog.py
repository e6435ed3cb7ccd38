"""Ends a training that makes no progress, and shows where all of its threads stand."""

import contextlib
import faulthandler
import sys
import time
from collections.abc import Iterator

_OFTEN = 1.0  # s; arming it anew at every step would start as many threads


class Watchdog:
    """Ends the process with status 1 when a step takes too long; use as a context manager.

    Waiting for another host that is gone raises no error.

    Args:
        minutes: longest time for a step; 0: no limit.
    """

    def __init__(self, minutes: float):
        self._seconds = 60 * minutes
        self._armed = -_OFTEN

    def __enter__(self) -> "Watchdog":
        self.progress()
        return self

    def __exit__(self, *exception: object) -> None:
        faulthandler.cancel_dump_traceback_later()

    def progress(self) -> None:
        """Tells that a step was taken."""
        now = time.monotonic()
        if self._seconds and now - self._armed >= min(_OFTEN, self._seconds / 10):
            self._armed = now
            # A notebook's own stderr is no file of the system.
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Does not count the time of other work."""
        faulthandler.cancel_dump_traceback_later()
        yield
        self._armed = -_OFTEN
        self.progress()
