"""Captions with times, in HowTo100M's JSON form."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vatt_gh.errors import UserError
from vatt_gh.media.words import split_words


class Caption(NamedTuple):
    """A caption: its text, and when it is said, in seconds of the video."""

    text: str
    start: float
    end: float


def load_howto100m(path: Path) -> tuple[dict[str, list[Caption]], list[dict[str, str]]]:
    """Reads {video id: {"text": [...], "start": [...], "end": [...]}}.

    Args:
        path: caption.json, raw_caption.json or raw_caption_superclean.json.

    Returns:
        Captions by video id, in order of their start, without those that hold no word; and what
        was left out: rows {"id", "reason"}.

    Raises:
        UserError: the file cannot be read, is not JSON, or is no such dictionary.
    """
    expected = '{"VIDEO_ID": {"text": [...], "start": [...], "end": [...]}, ...}'
    todo = "mend the file, or move it out of manual_dir to build without captions"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"The caption file cannot be read: {error}", where=path, expected=expected, todo=todo
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"The caption file is not JSON: {error}", where=path, expected=expected, todo=todo
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"The caption file holds a {type(content).__name__}, not a dictionary.",
            where=path,
            expected=expected,
            todo=todo,
        )
    captions, skipped = {}, []
    for video, columns in content.items():
        rows = _rows(columns)
        if rows is None:
            reason = f"captions are not of the form {expected}"
            skipped.append({"id": video, "reason": reason})
        else:
            said = [row for row in rows if split_words(row.text)]
            captions[video] = sorted(said, key=lambda row: (row.start, row.end))
    return captions, skipped


def _rows(columns: Any) -> list[Caption] | None:
    try:
        texts, starts, ends = columns["text"], columns["start"], columns["end"]
        rows = [
            Caption(_encodable(text), float(start), float(end))
            for text, start, end in zip(texts, starts, ends, strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        return None
    lists = all(isinstance(column, list) for column in (texts, starts, ends))
    return rows if lists and all(row.start <= row.end for row in rows) else None


def _encodable(text: Any) -> str:
    """The text; halves of characters, which JSON permits and UTF-8 does not, become "?"."""
    if not isinstance(text, str):
        raise TypeError(f"a caption is text, not {text!r}")
    return text.encode("utf-8", "replace").decode("utf-8")


def overlapping(captions: list[Caption], start: float, end: float) -> list[Caption]:
    """The captions that are said at any time between `start` and `end` seconds."""
    return [row for row in captions if row.start < end and row.end > start]
