"""Captions with times, in HowTo100M's JSON form."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vatt_gh.errors import UserError


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
        Captions by video id, in order of their start; and what was left out: rows
        {"id", "reason"}.

    Raises:
        UserError: the file is not JSON, or no such dictionary.
    """
    expected = '{"VIDEO_ID": {"text": [...], "start": [...], "end": [...]}, ...}'
    todo = "mend the file, or move it out of manual_dir to build without captions"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
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
            captions[video] = sorted(rows, key=lambda row: (row.start, row.end))
    return captions, skipped


def _rows(columns: Any) -> list[Caption] | None:
    try:
        texts, starts, ends = columns["text"], columns["start"], columns["end"]
        rows = [
            Caption(str(text), float(start), float(end))
            for text, start, end in zip(texts, starts, ends, strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        return None
    return rows if all(row.start <= row.end for row in rows) else None


def overlapping(captions: list[Caption], start: float, end: float) -> list[Caption]:
    """The captions that are said at any time between `start` and `end` seconds."""
    return [row for row in captions if row.start < end and row.end > start]
