"""Locks between processes: files that their owner's end frees, in whatever way it ends."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of file systems without locks, such as mounted buckets: there nobody else is noticed.
_WITHOUT = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for a lock and holds it.

    Args:
        path: of the lock's file, whose directory is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        _lock(lock.fileno(), fcntl.LOCK_EX)
        yield


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Takes a lock unless another process has it.

    Args:
        path: of the lock's file, whose directory is made.

    Yields:
        Whether it was free; then it is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            _lock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _lock(file: int, how: int) -> None:
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise
