"""Locks between processes: files that are released when their owner ends in any way."""

import errno
import fcntl
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# Errors of file systems without locks, such as mounted buckets.
_WITHOUT = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for a lock and holds it.

    Args:
        path: path of the lock file; its directory is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        _lock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def claimed(path: Path, note: str = "") -> Iterator[bool]:
    """Takes a lock unless another process has it.

    Args:
        path: path of the lock file; its directory is created.
        note: written into the file while the lock is held.

    Yields:
        Whether it was free, and is now held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        lock.truncate(0)
        lock.write(note)
        lock.flush()
        yield True


@contextmanager
def shared(path: Path, alone: Callable[[], None]) -> Iterator[None]:
    """Holds a lock that others may hold at the same time.

    Args:
        path: path of the lock file; its directory is created.
        alone: called first if nobody else holds it, before anybody else can.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        with suppress(BlockingIOError):
            _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone()
        _lock(lock, fcntl.LOCK_SH)
        yield


def _lock(file: IO[str], how: int) -> None:
    try:
        fcntl.flock(file.fileno(), how)
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise
        _say_unlocked(Path(file.name).parent)


@functools.cache
def _say_unlocked(folder: Path) -> None:
    """Says it once."""
    print(
        f"{folder}: this file system has no locks. Another process that works here goes unnoticed: "
        "make sure that there is none.",
        file=sys.stderr,
        flush=True,
    )
