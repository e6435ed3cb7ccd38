"""Ownership of a work directory: one configuration, and one process at a time."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
from ml_collections import ConfigDict

from vatt_gh.config import FREE_KEYS, PAPER, default, flatten
from vatt_gh.errors import UserError, changed_settings
from vatt_gh.files import read_object, write_whole
from vatt_gh.locks import claimed
from vatt_gh.training.parallel import first_host_first, from_first_host

OWNER = ".owner.lock"  # in the work directory
_BEGAN = "began.json"  # in the work directory; seconds since the epoch
_LOCK_TIMEOUT = 180.0  # s, for the lock of another machine
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # differs between machines; Linux has it
T = TypeVar("T")


@contextmanager
def owned(workdir: Path) -> Iterator[None]:
    """Keeps other trainings out of a work directory; evaluating it stays possible.

    Args:
        workdir: work directory of the run; created if it does not exist. With several processes
            the first one owns it.

    Raises:
        UserError: it cannot be made, or another process trains there; says which.
    """
    first_host_first(lambda: _make(workdir))
    if jax.process_index() != 0:
        if from_first_host(True):
            yield
            return
        raise _in_use(workdir)
    path = Path(workdir) / OWNER
    mine = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "boot": _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else None,
    }
    with ExitStack() as stack:
        end = time.monotonic() + _LOCK_TIMEOUT
        while not (free := stack.enter_context(claimed(path, json.dumps(mine)))):
            # A machine that is gone may hold its lock on a shared disk for some time.
            if not _elsewhere(_owner(path), mine) or time.monotonic() > end:
                break
            time.sleep(5)
        from_first_host(free)
        if not free:
            raise _in_use(workdir)
        yield


def _elsewhere(owner: dict[str, Any], mine: dict[str, Any]) -> bool:
    """Tells whether the owner is on another machine; a new pod has the name of the replaced one."""
    boots = {owner.get("boot"), mine["boot"]} - {None}
    return owner.get("host", mine["host"]) != mine["host"] or len(boots) > 1


def _in_use(workdir: Path) -> UserError:
    owner = _owner(Path(workdir) / OWNER)
    told = "process {process} on {host}, since {since}".format(**owner) if owner else "unknown"
    return UserError(
        f"Another process is training in this directory: {told}.",
        where=workdir,
        expected="a work directory for each run",
        todo="wait for that process, stop it, or give another --workdir",
    )


def _owner(path: Path) -> dict[str, Any]:
    """Reads the owner's entry, or nothing."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return {name: owner[name] for name in ("process", "host", "since")} | {
            "boot": owner.get("boot")
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def claim_workdir(workdir: Path, config: ConfigDict, opening: Callable[[], T]) -> T:
    """Stores the configuration in a new work directory, or compares it with the stored one.

    A training calls this while it owns the directory: if two begin there, one is refused.

    Args:
        workdir: work directory, created if it does not exist.
        config: the whole configuration.
        opening: opens what the run needs. A new directory gets its configuration only when this
            has succeeded, so that a mistake can be mended in the same directory.

    Returns:
        The result of `opening`.

    Raises:
        UserError: the directory belongs to a run whose configuration differs in relevant keys;
            names these keys.
    """
    path = Path(workdir) / "config.json"
    if path.exists():
        _compare(path, flatten(config))
        return opening()
    _make(workdir)
    began = Path(workdir) / _BEGAN
    first = not began.exists()  # else an earlier start was killed before it had opened everything
    if first:
        write_whole(began, json.dumps({"began": time.time()}))
    try:
        opened = opening()
    except UserError:
        if first:  # the run begins when the mistake is mended
            began.unlink(missing_ok=True)
        raise
    write_whole(path, json.dumps(flatten(config), indent=1))
    return opened


def first_start(workdir: Path) -> float:
    """Finds the time when a run was first started, before it opened or built its records.

    Args:
        workdir: work directory of a run, with a configuration.

    Returns:
        Seconds since the epoch. Runs of earlier versions say only when their input was open.

    Raises:
        UserError: the file that says it is damaged.
    """
    path = Path(workdir) / _BEGAN
    if not path.exists():
        return (Path(workdir) / "config.json").stat().st_mtime
    return float(read_object(path)["began"])


def _make(workdir: Path) -> None:
    try:
        Path(workdir).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise UserError(
            f"The work directory cannot be created: {error.strerror}.",
            where=workdir,
            expected="a directory that can be written to, or a place for a new one",
            todo="use another --workdir",
        ) from error


def _compare(path: Path, mine: dict[str, Any]) -> None:
    # For keys added since the run, the default is the old behaviour, except where that was always
    # the paper's method. Removed keys had no effect.
    paper = {f"harmonize.{key}": value for key, value in PAPER.items()}
    theirs = flatten(default()) | paper | read_config(path)
    lines = changed_settings(theirs, {key: mine[key] for key in sorted(mine.keys() - FREE_KEYS)})
    if lines:
        raise UserError(
            "The work directory belongs to a run with another configuration.",
            where=path,
            expected="the same values, to continue that run; they differ in\n    "
            + "\n    ".join(lines),
            todo="use another --workdir, or the values of that run",
        )


def read_config(path: Path) -> dict[str, Any]:
    """Reads the configuration that `claim_workdir` has stored.

    Args:
        path: path of config.json in a work directory.

    Returns:
        {"a.b": value}, tuples as lists.

    Raises:
        UserError: it cannot be read.
    """
    return read_object(path)
