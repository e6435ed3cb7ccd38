"""Captions of one video as JSON: YouTube's json3, Whisper's segments, lists and columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text


def json_cues(path: Path, content: str) -> list[Cue]:
    """Cues of a JSON file, whose form its content shows.

    Args:
        path: the file, for messages.
        content: its text: json3 {"events": [...]}; Whisper's {"segments": [{"text", "start",
            "end"}, ...]}, or that list alone; or HowTo100M's columns {"text": [...], "start":
            [...], "end": [...]}. Seconds, except in json3.

    Returns:
        One cue for each event with text, item of the list, or row of the columns.

    Raises:
        CaptionFileError: it is not JSON, or JSON of another form.
    """
    try:
        data = json.loads(content)
    except json.JSONDecodeError as error:
        raise CaptionFileError(path, f"is not JSON: {error}") from error
    except (RecursionError, ValueError) as error:  # nested deeply; a number of thousands of digits
        raise CaptionFileError(path, f"is JSON that cannot be read: {error}") from error
    if isinstance(data, dict):
        if isinstance(data.get("events"), list):
            return list(_json3(data["events"]))
        if isinstance(data.get("segments"), list):
            data = data["segments"]
        elif all(isinstance(data.get(name), list) for name in ("text", "start", "end")):
            rows = zip(data["text"], data["start"], data["end"], strict=False)
            if len({len(data[name]) for name in ("text", "start", "end")}) > 1:
                raise CaptionFileError(path, "has columns text, start, end of different lengths")
            return [Cue(f"row {k}", *row) for k, row in enumerate(rows, 1)]
    if not isinstance(data, list):
        raise CaptionFileError(
            path, 'is JSON without "events", "segments", "text" + "start" + "end", or a list'
        )
    rows = [row if isinstance(row, dict) else {} for row in data]
    return [
        Cue(f"item {k}", row.get("text"), row.get("start"), row.get("end"))
        for k, row in enumerate(rows, 1)
    ]


def _json3(events: list[Any]) -> Iterator[Cue]:
    """Cues of json3's events.

    A line of rolling captions stays until the next one is finished; it is said until the line end
    that is appended to it, as in the WebVTT of the same captions.
    """
    said: Cue | None = None
    for k, event in enumerate(events, 1):
        if not isinstance(event, dict) or not isinstance(event.get("segs"), list):
            continue  # sets up a window or a style
        parts = [seg.get("utf8") for seg in event["segs"] if isinstance(seg, dict)]
        raw = "".join(part for part in parts if isinstance(part, str))
        start = _seconds(event.get("tStartMs"))
        if event.get("aAppend") and not raw.strip():
            if said and None not in (start, said.start, said.end):
                said = said._replace(end=min(said.end, max(start, said.start)))
            continue
        if said:
            yield said
        length = _seconds(event.get("dDurationMs"))
        end = None if start is None or length is None else round(start + length, 6)
        said = Cue(f"event {k}", plain_text(raw), start, end)
    if said:
        yield said


def _seconds(milliseconds: Any) -> float | None:
    number = isinstance(milliseconds, int | float) and abs(milliseconds) < 1e15
    return milliseconds / 1000 if number else None
