"""Atomic writing of files, and messages for system errors while writing."""

import contextlib
import errno
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from vatt_gh.errors import UserError

T = TypeVar("T", dict, list)
_FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
# The last is SQLite's.
_FULL_TEXTS = (*(os.strerror(n).lower() for n in _FULL_NUMBERS), "database or disk is full")
_FORBIDDEN_NUMBERS = (errno.EACCES, errno.EROFS, errno.EPERM)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path that replaces `path` on success.

    For one process at a time: several that may write the same file need a lock.

    Args:
        path: path of the file; an existing file stays until the new one is complete.

    Yields:
        The temporary path, in the same directory; a killed process may have left a file there.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `folder` on success, unless that is there by then.

    For one process of a host at a time; another host may make the same folder, whose content has to
    be the same.

    Args:
        folder: path of a folder that does not exist yet.

    Yields:
        An empty folder beside it; what a killed process left there is removed.
    """
    # A name of this host alone: another one's lock may not reach this one.
    mine = f".{folder.name}.{socket.gethostname()}."
    for left in folder.parent.glob(f"{mine}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=mine, dir=folder.parent) as partial:
        made = Path(partial) / "made"
        made.mkdir()
        yield made
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another host was faster
                raise


def check_room(place: Path, needed: int, what: str, *, expected: str, todo: str) -> None:
    """Refuses to start what the disk has no room for.

    Args:
        place: directory that will be written to; it may not exist yet.
        needed: bytes.
        what: names what takes them; begins the message.
        expected, todo: see `UserError`.

    Raises:
        UserError: less is free.
    """
    place = Path(place)
    existing = next(p for p in [place, *place.absolute().parents] if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"{what} {needed / 1e9:.2f} GB; the disk has {free / 1e9:.2f} GB free.",
            where=place,
            expected=expected,
            todo=todo,
        )


def write_whole(path: Path, text: str) -> None:
    """Writes a text file atomically.

    Args:
        path: path of the file; an existing file is replaced.
        text: the whole text, written as UTF-8.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_utf8(path: Path, what: str, *, expected: str, todo: str) -> str:
    """Reads a text file in UTF-8.

    Args:
        path: path of the file.
        what: the problem if it cannot be read; begins the message.
        expected, todo: see `UserError`.

    Returns:
        The text.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what}: {error}", where=path, expected=expected, todo=todo) from error


def read_object(path: Path, what: str = "", **advice: str) -> dict[str, Any]:
    """Reads a JSON file that an earlier run wrote.

    Args:
        path: path of the file, which holds an object.
        what, **advice: see `read_utf8`; by default, those for a result.

    Returns:
        The object.

    Raises:
        UserError: it cannot be read.
    """
    return _read_json(path, dict, what, advice)


def read_list(path: Path) -> list[Any]:
    """Reads a JSON file that holds a list; see `read_object`."""
    return _read_json(path, list, "", {})


def _read_json(path: Path, kind: type[T], what: str, advice: dict[str, str]) -> T:
    what = what or f"{Path(path).name} cannot be read"
    advice = advice or {
        "expected": "the JSON that an earlier run wrote",
        "todo": "put a copy of it back, or delete it where it is a result that can be made again",
    }
    text = read_utf8(path, what, **advice)
    try:
        found = json.loads(text)
        problem = f"it holds {type(found).__name__}, not {kind.__name__}"
    except ValueError as error:
        found, problem = None, str(error)
    if not isinstance(found, kind):
        raise UserError(f"{what}: {problem}", where=path, **advice)
    return found


@contextlib.contextmanager
def system_problems_named(where: Path) -> Iterator[None]:
    """Turns errors of a full disk, or of missing permission, into a message.

    Args:
        where: the written path, for errors that name no file.

    Raises:
        UserError: see `system_problem`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        problem = system_problem(error, where)
        if problem is None:
            raise
        raise problem from error


def system_problem(error: BaseException | None, where: Path | None = None) -> UserError | None:
    """Makes the message for an error that was raised or caused by the system.

    TensorFlow and TensorStore have their own errors, which contain the system's text.

    Args:
        error: any error.
        where: the written path, for errors that name no file.

    Returns:
        The message, if the error or one of its causes says that the disk is full or that writing is
        not allowed; otherwise None.
    """
    while error is not None:
        text = str(error)
        number = error.errno if isinstance(error, OSError) else None
        place = getattr(error, "filename", None) or where or text.partition("\n")[0]
        if number in _FULL_NUMBERS or any(full in text.lower() for full in _FULL_TEXTS):
            return UserError(
                "The disk is full; what was written before is still there.",
                where=place,
                expected="room for records, checkpoints and metrics",
                todo="free some space; the same command continues",
            )
        if number in _FORBIDDEN_NUMBERS:
            return UserError(
                f"The system does not permit it: {os.strerror(number)}.",
                where=place,
                expected="files that you may read, and directories that you may write to",
                todo="give another directory, or change who may read and write this one",
            )
        error = error.__cause__ or error.__context__
    return None
