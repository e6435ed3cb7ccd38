"""Locks between processes: files that are released when their owner ends in any way."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Errors of file systems without locks, such as mounted buckets: others go unnoticed there.
_WITHOUT = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for a lock and holds it.

    Args:
        path: path of the lock file; its directory is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        _lock(lock.fileno(), fcntl.LOCK_EX)
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
            _lock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        lock.truncate(0)
        lock.write(note)
        lock.flush()
        yield True


def _lock(file: int, how: int) -> None:
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise
