"""WebVTT and SRT as real files have them; unrolls YouTube's rolling captions."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text, seconds_of, times_of

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"
_TIMES = re.compile(rf"\s*{_TIME}\s*--?>\s*{_TIME}(?!\S)")
# Matches invalid times too; "3 --> 5 spoons" is text.
_CUE = re.compile(
    r"\s*(-?\d*:\S*\s*-->|\d+:\d\S*\s*->\s*\d+:\d"
    r"|-?\d\S*\s*-->\s*-?\d*:\d|-?\d\S*\s*-->\s*-?\d\S*\s*$)"
)
_TIME_TAG = re.compile(r"<(?:\d+:)?\d+:\d+[.,]\d+>")
_NO_CUE = re.compile(r"NOTE(\s|$)|(STYLE|REGION)\s*$")
_FILE_HEADER = re.compile(r"\ufeff?WEBVTT(\s|$)|X-TIMESTAMP-MAP=")
_TIMESTAMP_MAP = re.compile(rf"X-TIMESTAMP-MAP=(?=.*MPEGTS:(\d+))(?=.*LOCAL:{_TIME})")
_TICKS = 90_000  # per second of MPEG-TS's clock
_FLASH = 0.0201  # s; YouTube shows a finished line alone for 10 ms before it rolls up
_NEXT = 0.1  # s; a line that rolls up stays on the screen without a gap
_LINES = 16  # rolling lines; no screen shows more
_ROLLING = 0.6  # share of cues that begin with the previous line; in a song it may be a third


class _RawCue(NamedTuple):
    """A cue as written: its line with the times, and the lines of text after it."""

    number: int  # number of the line with the times, from 1
    times: str
    lines: list[str]
    shift: float  # s, to add to the times


def subtitle_cues(path: Path, content: str) -> list[Cue]:
    """Reads the cues of a WebVTT or SRT file.

    A cue's text extends to the next line with times, also across empty lines, which some tools
    insert. In rolling captions a cue shows the previous lines, then a new one: each line becomes
    one cue with the times of its first appearance. Captions are rolling if lines contain times, as
    YouTube's do; if a quarter of the cues are flashes, as in an SRT made from them; or if most cues
    begin with the last line of the previous cue. The file may be concatenated HLS segments: clocks
    in their headers count from the first one's.

    Args:
        path: the file, for messages.
        content: its text.

    Returns:
        One cue per line "START --> END" or, in rolling captions, per spoken line.

    Raises:
        CaptionFileError: it has neither a cue nor a WebVTT header.
    """
    blocks = list(_blocks(content.split("\n")))
    if not blocks and not content.startswith("WEBVTT"):
        raise CaptionFileError(path, 'holds no line "START --> END"')
    cues = [
        (Cue(f"line {b.number}", "", *times_of(_TIMES.match(b.times), b.shift)), b.lines)
        for b in blocks
    ]
    if _TIME_TAG.search(content) or _flashes(cues) or _rolls(cues):
        return list(_unrolled(cues))
    return [cue._replace(text=plain_text("\n".join(lines))) for cue, lines in cues]


def _blocks(lines: list[str]) -> Iterator[_RawCue]:
    block = _RawCue(0, "", [], 0.0)
    named: int | None = None  # the number of the last numbered cue
    aside = clock = first_clock = None
    for k, line in enumerate(lines):
        if _CUE.match(line) and aside != "comment":
            text, named = _without_name(block, named)
            if block.times:
                yield block._replace(lines=text)
            shift = 0.0 if clock is None else round(clock - first_clock, 6)
            block, aside = _RawCue(k + 1, line, [], shift), None
        elif _FILE_HEADER.match(line) and aside != "comment":
            aside = "header"
            if match := _TIMESTAMP_MAP.match(line):
                clock = int(match[1]) / _TICKS - seconds_of(*match.groups()[1:])
                first_clock = clock if first_clock is None else first_clock
        elif aside or (_NO_CUE.match(line) and k and not lines[k - 1]):
            aside = (aside or "comment") if line else None
        else:
            block.lines.append(line)
    if block.times:
        yield block


def _without_name(block: _RawCue, last: int | None) -> tuple[list[str], int | None]:
    """Returns a cue's text without the line that names the next cue, and that one's number.

    That line is right before the times, and stands alone or is the next number or a restart; or it
    is the next number, followed by empty lines. Other numbers are text.
    """
    text = list(block.lines)
    while text and not text[-1].strip():
        text.pop()
    if not text:
        return text, last
    number = int(text[-1]) if text[-1].strip().isdecimal() else None
    adjacent = len(text) == len(block.lines)
    alone = not text[-2].strip() if len(text) > 1 else not block.times
    first = number is not None and not block.times
    due = last is not None and number in ((last + 1, 0, 1) if adjacent else (last + 1,))
    if first or due or (adjacent and alone):
        return text[:-1], last if number is None else number
    return text, last


def _said(lines: list[str]) -> list[str]:
    return [text for text in map(plain_text, lines) if text]


def _flashes(cues: list[tuple[Cue, list[str]]]) -> bool:
    """Tells whether a quarter of the cues are shown only for a moment."""
    timed = [cue for cue, lines in cues if cue.start is not None and _said(lines)]
    flashes = sum(0 <= cue.end - cue.start < _FLASH for cue in timed)
    return len(timed) > 3 and 4 * flashes >= len(timed)


def _rolls(cues: list[tuple[Cue, list[str]]]) -> bool:
    """Tells whether most cues begin with the last line of the previous cue, and add another."""
    timed = [(cue, _said(lines)) for cue, lines in cues if cue.start is not None and _said(lines)]
    follow = [
        (before, after)
        for (earlier, before), (later, after) in pairwise(timed)
        if later.start - earlier.end < _NEXT
    ]
    rolled = sum(len(after) > _common(before, after) > 0 for before, after in follow)
    return rolled > 2 and rolled >= _ROLLING * len(timed)


def _unrolled(cues: list[tuple[Cue, list[str]]]) -> Iterator[Cue]:
    """Reduces cues to the lines that were not on the screen just before."""
    before: list[str] = []
    ended = -_NEXT
    for cue, lines in cues:
        shown = [plain_text(line) for line in lines]
        said = _said(lines)
        if cue.start is None:
            yield cue._replace(text=" ".join(said))
            continue
        # An empty first line means a cleared screen: a line seen before is said once more.
        rolled = shown[0] if shown else ""
        old = _common(before, said) if rolled and cue.start - ended < _NEXT else 0
        if said[old:]:
            yield cue._replace(text=" ".join(said[old:]))
        before, ended = said, cue.end


def _common(before: list[str], after: list[str]) -> int:
    """Counts the lines at the end of `before` that `after` begins with."""
    longest = min(len(before), len(after), _LINES)
    return next(k for k in range(longest, -1, -1) if before[len(before) - k :] == after[:k])
