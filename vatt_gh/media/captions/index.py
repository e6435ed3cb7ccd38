"""HowTo100M's captions by video id: an SQLite index, built once from gigabytes of JSON."""

import contextlib
import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vatt_gh.errors import UserError
from vatt_gh.files import replacing, system_problem
from vatt_gh.locks import locked
from vatt_gh.media.captions.cues import Cue, to_captions
from vatt_gh.media.captions.howto100m import (
    FORM,
    entry_cues,
    is_well_formed,
    stream_howto100m,
    unreadable,
)

_FORMAT = 3  # version of the index; another version is rebuilt
_CREATE_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE source (format INTEGER, size INTEGER, mtime_ns INTEGER);
    CREATE TABLE captions (id BLOB PRIMARY KEY, json TEXT);
    CREATE TABLE skipped (id BLOB, reason TEXT);
"""


@dataclasses.dataclass(frozen=True)
class CaptionIndex:
    """Captions of all videos in one JSON file of HowTo100M's form.

    It holds only a path, and opens the file for each query: it can be pickled, and used by many
    threads and processes at once.

    Attributes:
        path: path of the index.
    """

    path: Path

    @classmethod
    def open(cls, source: Path, path: Path) -> "CaptionIndex":
        """Opens the index of a caption file; builds it if it is missing or the file changed.

        A file has changed if its size or modification time differs. An unfinished index has another
        name, so it is never opened. If several processes want to build it, one does and the others
        wait.

        Args:
            source: caption.json, raw_caption.json or raw_caption_superclean.json.
            path: path of the index; its directory is created.

        Returns:
            The index.

        Raises:
            UserError: the caption file cannot be read, is not JSON or not a dictionary; or the
                index cannot be written.
        """
        path = Path(path)
        try:
            file = Path(source).open("rb")  # noqa: SIM115
        except OSError as error:
            raise unreadable(source, error) from error
        with file:
            if _state_in(path) != _state_of(file):
                _build_alone(file, Path(source), path)
        return cls(path)

    def cues(self, video: str) -> list[Cue] | None:
        """Finds a video's cues with words; None: it is not in the file, or has no captions."""
        with _connect(self.path) as connection:
            row = connection.execute(
                "SELECT json FROM captions WHERE id = ?", (_key(video),)
            ).fetchone()
        return entry_cues(json.loads(row[0])) if row else None

    def __contains__(self, video: str) -> bool:
        with _connect(self.path) as connection:
            query = "SELECT 1 FROM captions WHERE id = ?"
            return connection.execute(query, (_key(video),)).fetchone() is not None

    def ids(self) -> Iterator[str]:
        """Yields the ids of all videos with captions, in order."""
        with _connect(self.path) as connection:
            for (key,) in connection.execute("SELECT id FROM captions ORDER BY id"):
                yield _id(key)

    def skipped(self) -> Iterator[dict[str, str]]:
        """Yields rows {"id", "reason"} of entries in the file that are not in the index."""
        with _connect(self.path) as connection:
            for key, reason in connection.execute("SELECT id, reason FROM skipped ORDER BY rowid"):
                yield {"id": _id(key), "reason": reason}


def _build_alone(file: BinaryIO, source: Path, path: Path) -> None:
    try:
        with locked(path.with_name(f"{path.name}.lock")):
            if _state_in(path) != _state_of(file):  # no other process has built it meanwhile
                _build(file, source, path)
    except (OSError, sqlite3.Error) as error:
        problem = system_problem(error, path)
        if problem is not None:
            raise problem from error
        raise UserError(
            f"The index of the captions cannot be written: {error}",
            where=path,
            expected="a directory with file locks and more room than the caption file takes",
            todo="free some space or give another --data_dir",
        ) from error


def _build(file: BinaryIO, source: Path, path: Path) -> None:
    with replacing(path) as partial:
        partial.unlink(missing_ok=True)  # SQLite would continue what a killed process left
        with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            connection.executescript(_CREATE_TABLES)
            connection.execute("BEGIN")
            connection.execute("INSERT INTO source VALUES (?, ?, ?)", _state_of(file))
            for name, content, text in stream_howto100m(file, source):
                _insert(connection, name, content, text)
            connection.execute("COMMIT")
        with partial.open("rb") as written:
            os.fsync(written.fileno())


def _insert(connection: sqlite3.Connection, name: str, content: Any, text: str) -> None:
    key = _key(name)
    reasons = []
    if connection.execute("DELETE FROM captions WHERE id = ?", (key,)).rowcount:
        reasons.append("is in the caption file twice; what comes first was left out")
    kept = True
    if not is_well_formed(content):  # else nothing is left out
        cues = entry_cues(content)
        captions, left_out = to_captions(cues or [])
        kept = bool(captions) or cues == []
        reasons += [f"captions are not of the form {FORM}"] if cues is None else left_out
    if kept:
        connection.execute("INSERT INTO captions VALUES (?, ?)", (key, text))
    connection.executemany("INSERT INTO skipped VALUES (?, ?)", [(key, r) for r in reasons])


def _state_of(file: BinaryIO) -> tuple[int, int, int]:
    status = os.fstat(file.fileno())
    return _FORMAT, status.st_size, status.st_mtime_ns


def _state_in(path: Path) -> tuple[int, int, int] | None:
    """Reads the state of the caption file that an index was built from; None: there is no index."""
    if not path.is_file():
        return None
    try:
        with _connect(path) as connection:
            return connection.execute("SELECT format, size, mtime_ns FROM source").fetchone()
    except sqlite3.Error:
        return None  # another file


@contextlib.contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    # Immutable: an index is never changed, only replaced, so reading needs no locks.
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


def _key(name: str) -> bytes:
    # JSON can hold lone surrogates; SQLite's text cannot.
    return name.encode("utf-8", "surrogatepass")


def _id(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
