"""Decoding processes, with limits on each file's time and memory."""

import contextlib
import dataclasses
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

# Spawned, because TensorFlow's threads do not survive a fork.
_CONTEXT = multiprocessing.get_context("spawn")
_AHEAD = 2  # tasks queued per worker, so that it need not wait for the parent


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits on one file, beyond which it is given up.

    Attributes:
        seconds: seconds of decoding.
        gigabytes: gigabytes of memory.
    """

    seconds: float = 3600.0
    gigabytes: float = 4.0


@dataclasses.dataclass(frozen=True)
class Died:
    """The result of a task that its worker did not survive.

    Attributes:
        reason: one sentence.
    """

    reason: str


class _Worker:
    def __init__(self, function: Callable[..., Any], limits: Limits):
        self.connection, other = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(function, other, limits), daemon=True)
        with _uninterrupted():
            self.process.start()
        other.close()  # so that the worker's death closes the pipe
        self.tasks: list[int] = []
        self.started: float | None = None  # time.monotonic of the first task

    def send(self, number: int, arguments: tuple) -> None:
        self.tasks.append(number)
        with contextlib.suppress(OSError):  # a dead worker is noticed when it is read
            self.connection.send(arguments)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Defers Ctrl-C: a starting process would print its own traceback.

    Processes started here never see it, because a child inherits blocked signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signal
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, handler)
    if came:
        signal.raise_signal(signal.SIGINT)


def run_in_order(
    function: Callable[..., Any], tasks: list[tuple], *, workers: int, limits: Limits
) -> Iterator[Any]:
    """Calls a function for many arguments in processes; yields results in the arguments' order.

    Runs at most a few tasks per worker ahead of the results taken. Tasks are isolated: if a
    task's process dies or is killed at a limit, its result says so and the others continue.

    Args:
        function: a module-level function; its arguments and results are pickled.
        tasks: arguments of every call.
        workers: number of processes.
        limits: limits on one task.

    Yields:
        The function's results, or Died.
    """
    team: list[_Worker] = []
    done: dict[int, Any] = {}
    todo = list(range(len(tasks)))
    try:
        for wanted in range(len(tasks)):
            while wanted not in done:
                while len(team) < workers and todo:
                    team.append(_Worker(function, limits))
                _hand_out(team, todo, tasks, wanted, workers)
                _collect(team, todo, done, limits)
            yield done.pop(wanted)
            _hand_out(team, todo, tasks, wanted + 1, workers)
    finally:
        for worker in team:
            worker.stop()


def _hand_out(
    team: list[_Worker], todo: list[int], tasks: list[tuple], wanted: int, workers: int
) -> None:
    for depth in range(_AHEAD):
        for worker in team:
            near = todo and todo[0] < wanted + 2 * _AHEAD * workers
            if near and len(worker.tasks) <= depth:
                number = todo.pop(0)
                worker.send(number, tasks[number])


def _collect(team: list[_Worker], todo: list[int], done: dict[int, Any], limits: Limits) -> None:
    """Waits for an event of a worker, and handles it."""
    now = time.monotonic()
    ends = [w.started + limits.seconds for w in team if w.started is not None]
    ready = wait([w.connection for w in team], max(0.0, min(ends) - now) if ends else 1.0)
    for worker in [w for w in team if w.connection in ready]:
        try:
            began, result = worker.connection.recv()
        except (EOFError, OSError):
            _bury(worker, team, todo, done, "its decoder process died")
            continue
        if began:
            worker.started = result
        else:
            done[worker.tasks.pop(0)] = result
            worker.started = None
    now = time.monotonic()
    for worker in list(team):
        if worker.started is not None and now > worker.started + limits.seconds:
            reason = f"took longer than {limits.seconds:g} s to decode"
            _bury(worker, team, todo, done, reason)


def _bury(
    worker: _Worker, team: list[_Worker], todo: list[int], done: dict[int, Any], reason: str
) -> None:
    worker.stop()
    team.remove(worker)
    if worker.tasks:  # the first was running; the others have not begun
        done[worker.tasks[0]] = Died(reason)
        todo[:] = sorted([*worker.tasks[1:], *todo])


def _serve(function: Callable[..., Any], connection: Connection, limits: Limits) -> None:
    """Runs the main loop of a worker: reports each task's beginning and its result."""
    # Drop what a decoder's library prints before it dies; keep Python's own errors.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    size = int(limits.gigabytes * 1e9)
    with contextlib.suppress(OSError, ValueError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        connection.send((True, time.monotonic()))
        try:
            result = function(*arguments)
        except MemoryError:
            result = Died(f"needs more than {limits.gigabytes:g} GB of memory")
        connection.send((False, result))


def _end_with_parent() -> None:
    """Ends a worker whose build was killed, even if its decoder hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
