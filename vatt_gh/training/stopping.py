"""Ends a training that is asked to stop, by a signal or a pod's notice: after a step, and saved."""

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import jax
from jax.experimental import multihost_utils

from vatt_gh.errors import UserError

Result = TypeVar("Result")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ACTION_BYTES = 256  # more than a struct sigaction has anywhere


class Stopped(Exception):
    """A training was asked to stop, and has saved its last step.

    Attributes:
        signal: number of the signal.
        step: the saved step.
    """

    def __init__(self, number: int, step: int):
        self.signal, self.step = number, step
        super().__init__(f"{signal.Signals(number).name} at step {step}")


class _AtOnce(BaseException):
    """Ends the function that `Stopping.at_once` calls; no `except Exception` catches it."""


class Stopping:
    """Notices SIGTERM and SIGINT during a training; use as a context manager in the main thread.

    The first signal is kept for the end of the step; a second one ends the process at once, even
    while it waits for its input.
    With several processes, JAX is told of the first one, and all hosts stop after the same step.
    """

    def __init__(self) -> None:
        self._number = 0  # number of the first signal, once the thread has noted it
        self._caught = 0  # once Python has called its handler
        self._raises = False

    def __enter__(self) -> "Stopping":
        self._alone = jax.process_count() == 1
        self._ours = threading.current_thread() is threading.main_thread()
        if not self._ours:
            return self
        # Python runs handlers between its own instructions only; what is written here is read
        # by a thread even while the main one waits elsewhere.
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        self._fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._before = {n: _Handler(n) for n in _SIGNALS}
        for number in _SIGNALS:
            signal.signal(number, self._handle)
        threading.Thread(target=self._watch, daemon=True).start()
        if not self._alone:
            try:
                self._before[signal.SIGTERM].check_foreign()
            except UserError:
                self.__exit__(None, None, None)  # Python does not call it
                raise
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ours:
            return
        for handler in self._before.values():
            handler.restore()
        signal.set_wakeup_fd(self._fd)
        self._write.close()  # ends the thread

    def asked(self, step: int) -> int:
        """Returns the signal that asks to stop after this step, or 0; the same on all hosts.

        Args:
            step: number of the step that was taken; every host asks after every step.
        """
        if jax.process_count() == 1:
            return self._number
        return signal.SIGTERM if multihost_utils.reached_preemption_sync_point(step) else 0

    @property
    def interrupted(self) -> int:
        """The signal that has come to this process, if it is alone, or 0."""
        return (self._caught or self._number) if self._ours and self._alone else 0

    def at_once(self, act: Callable[[], Result]) -> Result | None:
        """Calls a function, such as a score; a signal ends it, or keeps it from being called.

        With several processes none does: a host that left it would leave the others waiting.

        Args:
            act: the function.

        Returns:
            Its result; None: a signal has come, see `interrupted`.
        """
        # A handler may raise anywhere, in the inner `finally` too.
        try:
            try:
                self._raises = self._alone
                return None if self.interrupted else act()
            finally:
                self._raises = False
        except _AtOnce:
            return None

    def _handle(self, number: int, _: object) -> None:
        self._caught = number
        if self._raises:
            self._raises = False
            raise _AtOnce

    def _watch(self) -> None:
        with self._read:
            while data := self._read.recv(1):
                number = data[0]
                if number not in self._before:
                    continue
                name = signal.Signals(number).name
                if self._number:
                    os.write(2, f"{name} again: ends at once\n".encode())
                    os._exit(128 + number)
                self._number = number
                print(f"\n{name}: saves after this step, then ends", file=sys.stderr, flush=True)
                if not self._alone:
                    self._before[signal.SIGTERM].call()  # JAX tells the other hosts


class _Handler:
    """The handler that a signal has now, which may be of a library in C, such as JAX's.

    Python's `signal` knows its own handlers only.

    Args:
        number: number of the signal.
    """

    def __init__(self, number: int):
        self._number, self._libc = number, ctypes.CDLL(None)
        self._python = signal.getsignal(number)
        self._action = ctypes.create_string_buffer(_ACTION_BYTES)
        self._libc.sigaction(number, None, self._action)

    @property
    def _address(self) -> int | None:
        """Address of the handler; None: the default, 1: the signal is ignored."""
        return ctypes.c_void_p.from_buffer(self._action).value  # the structure's first field

    def check_foreign(self) -> None:
        """Refuses a handler that is not of a library; call while one of Python is installed.

        Raises:
            UserError: it is Python's, or there is none.
        """
        if self._address in (None, 1, _Handler(self._number)._address):
            raise UserError(
                "A pod's notice would not reach JAX.",
                where=f"the handler of {signal.Signals(self._number).name}",
                expected="JAX's, which jax.distributed.initialize installs",
                todo="install no other handler after it",
            )

    def call(self) -> None:
        """Calls it, as if the signal had come; see `check_foreign`."""
        ctypes.CFUNCTYPE(None, ctypes.c_int)(self._address)(self._number)

    def restore(self) -> None:
        """Makes it the signal's handler again."""
        # Never installs the default handler in between.
        if callable(self._python) or self._address in (None, 1):
            signal.signal(self._number, self._python)
        self._libc.sigaction(self._number, self._action, None)
