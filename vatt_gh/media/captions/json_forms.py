"""Captions of one video as JSON: YouTube's json3, rows under any of their usual names, columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text
from vatt_gh.media.captions.rows import columns_of, is_row, row_cue

# Keys of lists of rows: Whisper, whisper.cpp, Transformers, and common names of transcripts.
_LISTS = ("segments", "transcription", "chunks", "utterances", "transcript", "snippets", "captions")
_LISTS += ("subtitles", "cues", "body")


def json_cues(path: Path, content: str) -> list[Cue]:
    """Reads the cues of a JSON file; its content shows the form.

    Args:
        path: the file; if it holds captions by video id, its name holds the id.
        content: its text: json3 {"events": [...]}; rows {"text", "start", "end" or "duration"}, see
            `row_cue`, as a list, a list of one list, under one of _LISTS, or by video id; or
            columns {"text": [...], "start": [...], "end" or "duration": [...]}.

    Returns:
        One cue per event with text, item of the list, or row of the columns.

    Raises:
        CaptionFileError: it is not JSON, or of another form.
    """
    try:
        data = json.loads(content)
    except json.JSONDecodeError as error:
        raise CaptionFileError(path, f"is not JSON: {error}") from error
    except (RecursionError, ValueError) as error:  # nested deeply; a number of thousands of digits
        raise CaptionFileError(path, f"is JSON that cannot be read: {error}") from error
    if isinstance(data, dict) and isinstance(data.get("events"), list):
        return list(json3_cues(data["events"]))
    try:
        cues = cues_of(data)
        if cues is None and isinstance(data, dict):
            named = [value for name, value in data.items() if name and name in path.name]
            cues = cues_of(named[0]) if len(named) == 1 else None
    except ValueError as error:
        raise CaptionFileError(path, str(error)) from error
    if cues is None:
        raise CaptionFileError(path, 'is JSON without "events", "segments", or rows of captions')
    return cues


def cues_of(data: Any) -> list[Cue] | None:
    """Reads the cues of rows or columns.

    Args:
        data: JSON's value, see `json_cues`.

    Returns:
        The cues; None: the form is unknown.

    Raises:
        ValueError: its columns have different lengths.
    """
    if isinstance(data, dict):
        name = next((n for n in _LISTS if isinstance(data.get(n), list)), None)
        if name is not None:
            return cues_of(data[name])
        columns = columns_of(tuple(data))
        lists = {name: data[name] for name, _ in columns.values()}
        if not columns.complete() or not all(type(each) is list for each in lists.values()):
            return None
        if len(set(map(len, lists.values()))) > 1:
            raise ValueError(f"has columns {', '.join(lists)} of different lengths")
        rows = (dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True))
        return [row_cue(f"row {k}", row) for k, row in enumerate(rows, 1)]
    if not isinstance(data, list):
        return None
    if len(data) == 1 and isinstance(data[0], list):
        return cues_of(data[0])
    if data and not any(map(is_row, data)):
        return None
    rows = (row if isinstance(row, dict) else {} for row in data)
    return [row_cue(f"item {k}", row) for k, row in enumerate(rows, 1)]


def json3_cues(events: list[Any]) -> Iterator[Cue]:
    """Reads the cues of json3's events.

    A line of rolling captions stays until the next one is finished; its cue ends at the line end
    that is appended to it, as in the WebVTT of the same captions.

    Args:
        events: {"tStartMs", "dDurationMs", optional "aAppend", "segs": [{"utf8"}, ...]}.

    Yields:
        One cue per event that is not appended to another.
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
