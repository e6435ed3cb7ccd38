"""The files of a directory, as users have them: at any depth, behind links, with any name.

Annotations never become part of a path: the names in them are looked up among the files found,
so that no id leads out of the directory.
"""

import codecs
import contextlib
import csv
import dataclasses
import json
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

from vatt_gh.errors import UserError
from vatt_gh.media.file_names import is_utf8

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v")
VIDEO_SUFFIXES += (".mpg", ".mpeg", ".flv", ".3gp", ".wmv", ".ogv", ".ts")
AUDIO_SUFFIXES = (".wav", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".aac")
MEDIA_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES
# Files that operating systems leave among the user's: macOS metadata, thumbnails, settings.
_OF_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir")
NO_FILE = "has no media file"
NO_LIST = "is in no annotation file"
NO_NAME = "is not the plain name of a file"


@dataclasses.dataclass(frozen=True)
class FileTree:
    """All files of a directory.

    Attributes:
        root: the directory.
        layout: the expected layout, for error messages.
        files: paths of all files, sorted.
        skipped: rows {"path", "reason"} of entries that cannot be used at all.
    """

    root: Path
    layout: str
    files: list[str]
    skipped: list[dict[str, str]]

    def annotation(self, name: str) -> Path:
        """Finds the first file of this name, by path.

        Args:
            name: file name without folders.

        Returns:
            Its path.

        Raises:
            UserError: there is none.
        """
        path = self.optional_annotation(name)
        if path is None:
            raise self.error(f"The annotation file {name} is missing.")
        return path

    def optional_annotation(self, name: str) -> Path | None:
        """Finds a file like `annotation`; returns None where there is no such file."""
        return next((Path(path) for path in self.files if os.path.basename(path) == name), None)

    def skipped_of(self, suffixes: Collection[str]) -> list[dict[str, str]]:
        """Returns the rows of `skipped`: files with one of these suffixes, and folders."""
        return [
            row
            for row in self.skipped
            if _suffix(row["path"]) in suffixes or os.path.isdir(row["path"])
        ]

    def error(self, what: str, where: object = None) -> UserError:
        """Makes an error that shows the expected layout; `where`: the directory by default."""
        return UserError(
            what,
            where=where or self.root,
            expected=f"this layout:{self.layout}",
            todo="give --manual_dir=DIR with this layout",
        )

    def media_files(self, suffixes: Collection[str]) -> Iterator[str]:
        """Lists the paths of the files with one of these suffixes, in lower or upper case."""
        return (path for path in self.files if _suffix(path) in suffixes)

    def read_lines(self, path: Path) -> Iterator[str]:
        """Yields the non-empty lines of an annotation file, stripped.

        Backslashes, the path separators of Windows, become slashes.
        """
        with self._reading(path) as file:
            for line in file.read().splitlines():
                if line.strip():
                    yield line.strip().replace("\\", "/")

    def read_json(self, path: Path) -> Any:
        """Reads the content of a JSON file; UserError if it is not JSON."""
        with self._reading(path) as file:
            return json.load(file)

    def read_table(self, path: Path, columns: Collection[str]) -> Iterator[dict[str, str]]:
        """Reads the rows of a csv file with a header.

        Args:
            path: the file.
            columns: the required columns.

        Yields:
            {column: stripped text}; "" where a row is too short.

        Raises:
            UserError: it cannot be read, or lacks a column.
        """
        with self._reading(path) as file:
            table = csv.DictReader(file, restval="", skipinitialspace=True)
            missing = sorted(set(columns) - set(table.fieldnames or ()))
            if missing:
                raise self.error(f"The annotation file has no column {', '.join(missing)}.", path)
            for row in table:
                yield {name: text.strip() for name, text in row.items() if name is not None}

    @contextlib.contextmanager
    def _reading(self, path: Path) -> Iterator[TextIO]:
        """Opens an annotation file; turns errors while it is open into UserErrors."""
        try:
            with open_text(path) as file:
                yield file
        except json.JSONDecodeError as error:
            raise self.error(f"The annotation file is not JSON: {error}", path) from error
        except (OSError, ValueError, RecursionError, csv.Error) as error:
            raise self.error(f"The annotation file cannot be read: {error}", path) from error


def scan_files(manual_dir: Path, layout: str, without: Collection[str] = ()) -> FileTree:
    """Finds all files of a directory, without opening any.

    Files of the operating system ("._a.mp4", "Thumbs.db") are left out silently. Links are
    followed: users link the folders of large sets. A folder behind two links is read once.

    Args:
        manual_dir: the directory.
        layout: the expected layout, for error messages.
        without: names of folders to leave out.

    Returns:
        Its files.

    Raises:
        UserError: it is not a directory.
    """
    tree = FileTree(Path(manual_dir), layout, [], [])
    if not tree.root.is_dir():
        raise tree.error("The directory with the data is missing.", manual_dir)
    waiting, linked, seen = [str(manual_dir)], [], set()
    while waiting or linked:
        # Linked folders last, so that a file found under two paths keeps its own.
        folder = waiting.pop() if waiting else linked.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            tree.skipped.append({"path": folder, "reason": f"cannot be read: {error.strerror}"})
            continue
        for entry in entries:
            if entry.name.startswith("._") or entry.name in _OF_SYSTEMS:
                continue
            kind = _kind(entry)
            if kind == "folder":
                if entry.name not in without:
                    (linked if entry.is_symlink() else waiting).append(entry.path)
            elif not is_utf8(entry.path[len(str(manual_dir)) :]):
                reason = "has a name that is not UTF-8"
                tree.skipped.append({"path": entry.path, "reason": reason})
            elif kind == "file":
                tree.files.append(entry.path)
            else:
                tree.skipped.append({"path": entry.path, "reason": kind})
    tree.files.sort()
    tree.skipped.sort(key=lambda row: row["path"])
    return tree


def _kind(entry: os.DirEntry) -> str:
    """Names the type of an entry: "folder", "file", or why it is neither."""
    with contextlib.suppress(OSError):  # a link that leads to itself
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    return "is a link to nothing" if entry.is_symlink() else "is no file"


def stem(path: str) -> str:
    """Returns the name of a file without folders and suffix."""
    return os.path.splitext(os.path.basename(path))[0]


def is_plain_name(name: str) -> bool:
    """Tells whether a name from metadata is a file name without any folder."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


@contextlib.contextmanager
def open_text(path: Path, errors: str = "strict") -> Iterator[TextIO]:
    """Opens a user's text file: UTF-8, or UTF-16 with a byte order mark, as Excel writes it.

    Args:
        path: the file.
        errors: how to treat bytes that are not text, see Python's `open`.

    Yields:
        The open file, line ends unchanged.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
        ValueError: it is a web page.
    """
    with open(path, "rb") as file:
        head = file.read(512)
    encoding = "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    with open(path, encoding=encoding, errors=errors, newline="") as file:
        if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body)", head, re.IGNORECASE):
            raise ValueError("it is a web page, as a download that failed leaves it")
        yield file
