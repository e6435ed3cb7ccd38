"""Reads the newest checkpoint that is whole, and says which are not."""

import errno
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import jax

from vatt_gh.errors import UserError
from vatt_gh.files import system_problem
from vatt_gh.training.digests import Damaged
from vatt_gh.training.parallel import all_hosts

T = TypeVar("T")
_PAUSE = 1.0  # s, before what cannot be read is read again
# None: raised by Orbax itself, for a file that is not there.
_OF_FILES = (None, errno.ENOENT, errno.EIO, errno.ENODATA, errno.EINVAL, errno.ENOTDIR)


def newest_whole(
    steps: Sequence[int], read: Callable[[int], T], *, where: Path, todo: str
) -> tuple[T, list[int]]:
    """Reads the first checkpoint that is whole on every host; names those that are not.

    Every host has to call this.

    Args:
        steps: at least one; the newest first.
        read: reads the checkpoint of a step; raises Damaged if it is not as it was written.
        where: folder of the checkpoints.
        todo: what to do if none is whole.

    Returns:
        What `read` returns, and the steps of the damaged checkpoints before it.

    Raises:
        UserError: none is whole.
    """
    problems: list[str] = []
    for step in steps:
        found, problem = _patiently(step, read)
        if problem is None:
            return found, list(steps[: len(problems)])
        problems.append(problem)
        print_on_first_host(f"The checkpoint of step {step} is damaged and not used: {problem}")
    older = {1: "", 2: "; nor can the older one"}.get(
        len(steps), f"; nor can {len(steps) - 1} older ones"
    )
    raise UserError(
        f"The checkpoint of step {steps[0]} cannot be read: {problems[0]}{older}",
        where=where,
        expected="a checkpoint as it was written",
        todo=todo,
    )


def _patiently(step: int, read: Callable[[int], T]) -> tuple[T | None, str | None]:
    """Reads a checkpoint, a second time if any host fails; returns the problem too."""
    for pause in (_PAUSE, 0.0):
        found, problem = None, None
        try:
            found = read(step)
        except Damaged as damage:
            problem = str(damage)
        told = [each for each in all_hosts(problem or "") if each]
        if not told:
            return found, None
        time.sleep(pause)
    return None, problem or f"another host cannot read it: {told[0]}"


@contextmanager
def damage_named() -> Iterator[None]:
    """Turns whatever Orbax and TensorStore raise for damaged files into Damaged.

    Raises:
        Damaged: carries the first line of the error.
        UserError: the system does not let the files be read, see `system_problem`.
    """
    try:
        yield
    except Exception as error:
        problem = system_problem(error)
        if problem is not None:
            raise problem from error
        # Errors that say nothing about the files.
        elsewhere = isinstance(error, OSError) and error.errno not in _OF_FILES
        if elsewhere or isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise
        line = str(error).strip().partition("\n")[0][:300]
        raise Damaged(f"{type(error).__name__}: {line}") from error


def print_on_first_host(text: str) -> None:
    """Writes a line to standard error, on the first host."""
    if jax.process_index() == 0:
        print(text, file=sys.stderr, flush=True)
