"""Reads HowTo100M's JSON of all videos as a stream."""

import codecs
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vatt_gh.errors import UserError
from vatt_gh.media.captions.cues import Cue
from vatt_gh.media.captions.json_forms import cues_of
from vatt_gh.media.words import split_words

FORM = '{"VIDEO_ID": {"text": [...], "start": [...], "end": [...]}, ...}'  # or rows

_CHUNK = 1 << 20  # bytes
_LONGEST_ENTRY = 1 << 26  # characters of an entry; more means an unclosed quote or bracket
_SPACE = re.compile(r"[ \t\n\r]*")
# A token cut by the end of the window is noticed at most this far before the end: a surrogate
# pair such as "\ud83d\ude00".
_CUT = 12


def stream_howto100m(file: BinaryIO, where: Path) -> Iterator[tuple[str, Any, str]]:
    """Reads {video id: captions} entry by entry, in the memory of the longest entry.

    Python's own JSON decoder reads each entry, so that it means what json.load says. ijson 3.6 is
    up to twice as fast, but refuses a whole file for one NaN or one lone surrogate.

    Args:
        file: UTF-8 text of caption.json, raw_caption.json or raw_caption_superclean.json.
        where: its path, for messages.

    Yields:
        A video's id, its captions as in the file, and their JSON text. An id that is in the file
        twice comes twice.

    Raises:
        UserError: the file cannot be read, is not JSON, is truncated, or is not a dictionary; says
            where.
    """
    window = _Window(file, where)
    window.take("{")
    if window.peek('}"') == "}":
        window.take("}")
    else:
        separator = ","
        while separator == ",":
            window.peek('"')
            name, _ = window.value()
            window.take(":")
            content, text = window.value()
            window.last = name
            yield name, content, text
            separator = window.take(",}")
    if found := window.character():
        window.fail(f"{found!r} follows the dictionary")


def unreadable(where: Path, error: OSError) -> UserError:
    """Makes the error for a caption file that cannot be read."""
    return _unusable(where, f"The caption file cannot be read: {error}")


def _unusable(where: Path, what: str) -> UserError:
    return UserError(
        what,
        where=where,
        expected=FORM,
        todo="mend the file, or move it out of manual_dir to build without captions",
    )


class _Window:
    """The part of the file in memory.

    Attributes:
        position: position of the next character, in `text`.
        last: the id of the previous entry.
    """

    def __init__(self, file: BinaryIO, where: Path):
        self.position, self.last = 0, ""
        self._file, self._where = file, where
        self._text, self._before, self._bytes, self._ended = "", 0, 0, False
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._decode = json.JSONDecoder().raw_decode

    def character(self) -> str:
        """Returns the next non-space character, "" at the end, without taking it."""
        while True:
            self.position = _SPACE.match(self._text, self.position).end()
            if self.position < len(self._text):
                return self._text[self.position]
            if self._ended:
                return ""
            self._more()

    def peek(self, characters: str) -> str:
        """Returns the next non-space character, one of `characters`, without taking it."""
        found = self.character()
        if not found:
            self.fail("it ends too early")
        if found not in characters:
            self.fail(f"{found!r} is there instead of {' or '.join(characters)}")
        return found

    def take(self, characters: str) -> str:
        """Takes the next non-space character, one of `characters`."""
        found = self.peek(characters)
        self.position += 1
        return found

    def value(self) -> tuple[Any, str]:
        """Takes the next value; returns it and its JSON text."""
        self.character()
        while True:
            try:
                value, end = self._decode(self._text, self.position)
                # A number at the end of the window may continue beyond it.
                if end < len(self._text) or self._ended:
                    text = self._text[self.position : end]
                    self.position = end
                    return value, text
            except json.JSONDecodeError as error:
                open_string = error.msg.startswith("Unterminated")
                cut = open_string or error.pos >= len(self._text) - _CUT
                if self._ended or not cut:
                    short = open_string or error.pos >= len(self._text)
                    self.position = error.pos
                    self.fail(f"it ends too early ({error.msg})" if short else error.msg)
            except (RecursionError, ValueError) as error:  # a number of thousands of digits
                self.fail(str(error))
            if len(self._text) - self.position > _LONGEST_ENTRY:
                self.fail(f"an entry is longer than {_LONGEST_ENTRY} characters")
            self._more()

    def _more(self) -> None:
        # Doubles the window, so that a long entry is not parsed too often.
        try:
            data = self._file.read(max(_CHUNK, len(self._text) - self.position))
        except OSError as error:
            raise unreadable(self._where, error) from error
        try:
            text = self._utf8.decode(data, final=not data)
        except UnicodeDecodeError as error:
            place = self._bytes + len(data) - (len(error.object) - error.start)
            self.position = len(self._text)
            self.fail(f"byte {place} is not UTF-8", error)
        self._before += self.position
        self._text, self.position = self._text[self.position :] + text, 0
        self._bytes += len(data)
        self._ended = not data

    def fail(self, problem: str, error: Exception | None = None) -> None:
        """Raises the UserError with the file and the place."""
        after = f", after the captions of {self.last!r}" if self.last else ""
        what = f"{problem}, at character {self._before + self.position}{after}."
        what = f"The caption file is not JSON of the expected form: {what}"
        raise _unusable(self._where, what) from error


def is_well_formed(content: Any) -> bool:
    """Checks quickly that an entry is as in FORM, with finite times in order."""
    try:
        texts, starts, ends = content["text"], content["start"], content["end"]
        if not all(type(column) is list for column in (texts, starts, ends)):
            return False
        begin, finish = list(map(float, starts)), list(map(float, ends))
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    if not len(texts) == len(begin) == len(finish) or not set(map(type, texts)) <= {str}:
        return False
    return all(map(math.isfinite, begin + finish)) and all(map(float.__le__, begin, finish))


def entry_cues(content: Any) -> list[Cue] | None:
    """Reads an entry as cues of a video.

    Args:
        content: the entry of one video: columns as in FORM, or rows, see `cues_of`.

    Returns:
        Its cues, without those that hold no word, which are common in this file; None: the entry
        has no recognizable rows.
    """
    try:
        cues = cues_of(content)
    except ValueError:
        return None
    return cues and [c for c in cues if type(c.text) is not str or split_words(c.text)]
