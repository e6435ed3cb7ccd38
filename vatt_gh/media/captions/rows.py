"""Rows of captions: the usual names of text, start, end, duration, and of units."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from vatt_gh.media.captions.cues import Cue, seconds_of

_ROLES = {
    "text": ("text", "caption", "sentence", "content", "utf8", "transcript", "line", "subtitle"),
    "start": ("start", "starttime", "begin", "from", "offset", "startoffset", "timestart"),
    "end": ("end", "endtime", "stop", "stoptime", "to", "finish", "endoffset", "timeend"),
    "duration": ("duration", "dur", "length"),
}
_UNITS = {  # s
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "milliseconds"), 0.001),
    **dict.fromkeys(("sec", "secs", "seconds"), 1.0),
}
# By the column's name, reduced to lower-case letters and digits.
_MEANING: dict[str, tuple[str, float | None, int]] = {
    name + unit: (role, seconds, place)
    for unit, seconds in {**_UNITS, "": None}.items()
    for role, names in _ROLES.items()
    for place, name in enumerate(names)
}
_SECONDS_SUFFIX = re.compile(r"(?<=\w)[\W_]+s\W*$")  # "start_s", "start (s)", but not "offsets"
_COMMA = re.compile(r"\d+,\d+")
_LONGEST_DURATION = 500.0  # s; a longer duration beside a clock time is in milliseconds
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")


class Columns(dict[str, tuple[str, float | None]]):
    """The column of each role (text, start, end, duration), and its unit if the name tells it.

    The unit is in seconds; None: unknown.
    """

    def complete(self) -> bool:
        """Tells whether they make a caption: a text, a start, and an end or a duration."""
        return {"text", "start"} <= self.keys() and not self.keys().isdisjoint(("end", "duration"))


@functools.lru_cache(64)
def columns_of(names: tuple[Any, ...]) -> Columns:
    """Finds the roles of columns.

    Args:
        names: names of columns, or keys of a row.

    Returns:
        The columns with a role. If several share one, the one whose name tells its unit, then the
        one whose name comes first in _ROLES: "line" may be a number.
    """
    found = Columns()
    ranks: dict[str, tuple[bool, int]] = {}
    for name in names:
        word = re.sub(r"[\W_]", "", _SECONDS_SUFFIX.sub("sec", str(name).lower()))
        role, unit, place = _MEANING.get(word, ("", None, 0))
        rank = (unit is None, place)
        if role and rank < ranks.get(role, (True, len(_MEANING))):
            ranks[role], found[role] = rank, (name, unit)
    return found


def is_row(row: Any) -> bool:
    """Tells whether this is a caption, regardless of its values."""
    return isinstance(row, dict) and columns_of(tuple(_flat(row))).complete()


def row_cue(where: str, row: Mapping[str, Any]) -> Cue:
    """Converts a row to a cue.

    Args:
        where: its place in the file, for people.
        row: {column name: value}; clocks such as "00:01:02.5" and columns such as "start_ms" tell
            their unit.

    Returns:
        The cue. A missing end is start + duration; values that are not times stay unchanged.
    """
    row = _flat(row)
    columns = columns_of(tuple(row))
    # A unit in the name of one column holds for the others.
    known = next((unit for _, unit in columns.values() if unit is not None), None)

    def cell(role: str) -> tuple[Any, bool]:
        name, unit = columns.get(role, (None, None))
        return _time(row.get(name), known if unit is None else unit)

    text = row.get(columns["text"][0]) if "text" in columns else None
    if type(text) is int:
        text = str(text)  # "350"
    start, told = cell("start")
    if "end" in columns:
        end, too = cell("end")
    else:
        length, too = cell("duration")
        numbers = isinstance(start, float) and isinstance(length, float)
        if numbers and told and not too and length.is_integer() and length >= _LONGEST_DURATION:
            length /= 1000  # beside a clock; nothing is said for so long
        end = round(start + length, 6) if numbers else None
    return Cue(where, text, start, end, told or too)


def _flat(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Moves the nested times of whisper.cpp and Transformers to a row's top level."""
    offsets, stamps = row.get("offsets"), row.get("timestamps", row.get("timestamp"))
    if isinstance(offsets, dict):
        times = {"start_ms": offsets.get("from"), "end_ms": offsets.get("to")}
    elif isinstance(stamps, dict):
        times = {"start": stamps.get("from"), "end": stamps.get("to")}
    elif isinstance(stamps, list) and len(stamps) == 2:
        times = {"start": stamps[0], "end": stamps[1]}
    else:
        return row
    return {**row, **times}


def _time(value: Any, unit: float | None) -> tuple[Any, bool]:
    """Returns a number and whether it is known to be in seconds; other values stay unchanged."""
    if isinstance(value, str) and (match := _CLOCK.fullmatch(value.strip())):
        return seconds_of(*match.groups()), True
    if isinstance(value, str) and _COMMA.fullmatch(value.strip()):
        value = value.replace(",", ".")  # decimal comma
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return value, unit is not None
    return (number, False) if unit is None else (round(number * unit, 6), True)
