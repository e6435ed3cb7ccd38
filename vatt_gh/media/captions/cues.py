"""What a caption is, and how the cues of a file become captions."""

import html
import math
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from vatt_gh.media.file_names import is_utf8
from vatt_gh.media.form import MediaError
from vatt_gh.media.words import split_words

# Time tags within a line, elements (<c>, <i>, <v Anna>, <font color=...>), and positions ({\an8}).
_TAGS = re.compile(r"<(?:\d+:)?\d+:\d+[.,]\d+>|</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_SPEAKER = re.compile(">{2,}")
_INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF))
_TOUCH = 0.05  # s; a caption shown again after a shorter gap was not gone
_MOMENT = 1.0  # s; no sentence takes less: a caption shown so briefly is animated


class Caption(NamedTuple):
    """A caption: its text, and when it is said, in seconds of the video."""

    text: str
    start: float
    end: float


class Cue(NamedTuple):
    """A caption as a file has it, unchecked.

    Attributes:
        where: its place in the file, for people: "line 12".
        text: its supposed text.
        start: its supposed start, in seconds.
        end: its supposed end, in seconds.
        told: whether the file states the unit; if not, the times may not be in seconds.
    """

    where: str
    text: Any
    start: Any
    end: Any
    told: bool = True


class CaptionFileError(MediaError):
    """A caption file of one video that is wholly unreadable."""


def overlapping(captions: list[Caption], start: float, end: float) -> list[Caption]:
    """Returns the captions that are said at any time between `start` and `end` seconds."""
    return [row for row in captions if row.start < end and row.end > start]


def to_captions(cues: Iterable[Cue]) -> tuple[list[Caption], list[str]]:
    """Sorts cues, and leaves out those that are not captions.

    Args:
        cues: cues of one file, in any order.

    Returns:
        Captions in order of their start; they may overlap, but repeats without a gap become one
        caption. And why cues were left out: one sentence per kind, with their number and where the
        first is.
    """
    captions: list[Caption] = []
    left_out: dict[str, list[str]] = {}
    for cue in cues:
        problem = _problem(cue)
        if problem is None:
            # JSON permits lone surrogates, and UTF-8 does not: they become "?".
            text = cue.text.strip().encode("utf-8", "replace").decode("utf-8")
            captions.append(Caption(text, float(cue.start), float(cue.end)))
        else:
            left_out.setdefault(problem, []).append(cue.where)
    captions = _joined(sorted(captions, key=lambda row: (row.start, row.end)))
    reasons = [
        f"left out {len(places)} of its captions, the first at {places[0]}: {problem}"
        for problem, places in left_out.items()
    ]
    return captions, reasons


def _joined(captions: list[Caption]) -> list[Caption]:
    """Joins captions that are shown again and again, for example animated ones.

    Two in a row, each long enough to be said, are a refrain and stay.
    """
    runs: list[list[Caption]] = []
    latest: dict[str, tuple[list[Caption], float]] = {}  # the last run of a text, and its end
    for caption in captions:
        text = " ".join(caption.text.translate(_INVISIBLE).split())
        run, end = latest.get(text, ([], -math.inf))
        if caption.start - end > _TOUCH:
            run, end = [], -math.inf
            runs.append(run)
        run.append(caption)
        latest[text] = run, max(end, caption.end)
    joined = []
    for run in runs:
        overlap = any(b.start < a.end - _TOUCH for a, b in pairwise(run))
        brief = any(c.end - c.start < _MOMENT for c in run)
        if len(run) > 1 and (overlap or brief or len(run) > 2):
            joined.append(run[0]._replace(end=max(c.end for c in run)))
        else:
            joined += run
    return sorted(joined, key=lambda row: (row.start, row.end))


def _problem(cue: Cue) -> str | None:
    try:
        start, end = float(cue.start), float(cue.end)
    except (TypeError, ValueError, OverflowError):
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end)):
        return "its times are not numbers of seconds"
    if start > end:
        return "it ends before it starts"
    if not isinstance(cue.text, str):
        return "it has no text"
    if not is_utf8(cue.text):
        return "it holds bytes that are no text"
    return None if split_words(cue.text) else "it holds no word"


def seconds_of(hours: str | None, minutes: str, seconds: str) -> float:
    """Converts a clock time to seconds, to the microsecond.

    Args:
        hours, minutes: digits; hours: None where there are none.
        seconds: digits, with a point or a comma before the fraction.
    """
    whole = 3600 * int(hours or 0) + 60 * int(minutes)
    return round(whole + float(seconds.replace(",", ".")), 6)


def times_of(match: re.Match[str] | None, shift: float = 0.0) -> tuple[float | None, float | None]:
    """Reads start and end of a cue, in seconds.

    Args:
        match: match of two clock times, three groups each, see `seconds_of`; None: there are none.
        shift: seconds to add.
    """
    if match is None:
        return None, None
    start, end = seconds_of(*match.groups()[:3]), seconds_of(*match.groups()[3:])
    return round(start + shift, 6), round(end + shift, 6)


def plain_text(markup: str) -> str:
    """Returns a subtitle line's text: no tags, entities, ">>" of new speakers, or line ends."""
    text = html.unescape(_TAGS.sub("", markup)).translate(_INVISIBLE)
    return " ".join(_SPEAKER.sub(" ", text).split())
