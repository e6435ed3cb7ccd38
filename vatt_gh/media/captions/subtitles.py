"""WebVTT and SRT, as far as real files keep to them; YouTube's rolling captions unrolled."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text, seconds_of

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"
_TIMES = re.compile(rf"\s*{_TIME}\s*--?>\s*{_TIME}(?!\S)")
# Whatever its times are worth; "3 --> 5 spoons" is text.
_CUE = re.compile(
    r"\s*(-?\d*:\S*\s*-->|\d+:\d\S*\s*->\s*\d+:\d"
    r"|-?\d\S*\s*-->\s*-?\d*:\d|-?\d\S*\s*-->\s*-?\d\S*\s*$)"
)
_TIME_TAG = re.compile(r"<(?:\d+:)?\d+:\d+[.,]\d+>")
_NO_CUE = re.compile(r"NOTE(\s|$)|(STYLE|REGION)\s*$")
_HEADER = re.compile(r"\ufeff?WEBVTT(\s|$)|X-TIMESTAMP-MAP=")
_CLOCK = re.compile(rf"X-TIMESTAMP-MAP=(?=.*MPEGTS:(\d+))(?=.*LOCAL:{_TIME})")
_TICKS = 90_000  # a second of MPEG-TS's clock
_FLASH = 0.0201  # s; YouTube shows a finished line alone for 10 ms before it rolls up
_NEXT = 0.1  # s; a line that rolls up stays on the screen without a gap
_LINES = 16  # that roll; no screen shows more
_ROLLING = 0.6  # share of cues that begin with the line before; in a song it may be a third


class _Block(NamedTuple):
    """A cue as it is written: its line with the times, and the lines of text after it."""

    number: int  # of the line with the times, from 1
    times: str
    lines: list[str]
    shift: float  # s, to be added to the times


def subtitle_cues(path: Path, content: str) -> list[Cue]:
    """Cues of a WebVTT or SRT file.

    A cue's text goes on to the next line with times, also over empty lines, which some tools put
    within it. In rolling captions a cue shows the lines before, then a new one: each line becomes
    one cue with the times of its first appearance. Captions roll where lines have times within
    them, as YouTube's do; where a quarter of the cues are flashes, as in an SRT made of them; or
    where most cues begin with the line that the cue before ends with. Segments of HLS may be glued
    together: what their headers say of the clock counts from the first one's.

    Args:
        path: the file, for messages.
        content: its text.

    Returns:
        One cue for each line "START --> END" or, in rolling captions, for each line that is said.

    Raises:
        CaptionFileError: it has neither a cue nor the header of WebVTT.
    """
    blocks = list(_blocks(content.split("\n")))
    if not blocks and not content.startswith("WEBVTT"):
        raise CaptionFileError(path, 'holds no line "START --> END"')
    cues = [(Cue(f"line {b.number}", "", *_times(b.times, b.shift)), b.lines) for b in blocks]
    if _TIME_TAG.search(content) or _flashes(cues) or _rolls(cues):
        return list(_unrolled(cues))
    return [cue._replace(text=plain_text("\n".join(lines))) for cue, lines in cues]


def _blocks(lines: list[str]) -> Iterator[_Block]:
    block = _Block(0, "", [], 0.0)
    named: int | None = None  # the number that the last numbered cue has
    aside = clock = first_clock = None
    for k, line in enumerate(lines):
        if _CUE.match(line) and aside != "comment":
            text, named = _without_name(block, named)
            if block.times:
                yield block._replace(lines=text)
            shift = 0.0 if clock is None else round(clock - first_clock, 6)
            block, aside = _Block(k + 1, line, [], shift), None
        elif _HEADER.match(line) and aside != "comment":
            aside = "header"
            if match := _CLOCK.match(line):
                clock = int(match[1]) / _TICKS - seconds_of(*match.groups()[1:])
                first_clock = clock if first_clock is None else first_clock
        elif aside or (_NO_CUE.match(line) and k and not lines[k - 1]):
            aside = (aside or "comment") if line else None
        else:
            block.lines.append(line)
    if block.times:
        yield block


def _without_name(block: _Block, last: int | None) -> tuple[list[str], int | None]:
    """A cue's text without the line that names the next cue, and that one's number.

    That line stands right before the times, alone or as the number that is next, or that begins
    anew; or it is the next number, and there are empty lines between. Other numbers are text.
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


def _times(line: str, shift: float) -> tuple[float | None, float | None]:
    match = _TIMES.match(line)
    if match is None:
        return None, None
    times = seconds_of(*match.groups()[:3]), seconds_of(*match.groups()[3:])
    return round(times[0] + shift, 6), round(times[1] + shift, 6)


def _said(lines: list[str]) -> list[str]:
    return [text for text in map(plain_text, lines) if text]


def _flashes(cues: list[tuple[Cue, list[str]]]) -> bool:
    """Whether a quarter of the cues are only seen for a moment."""
    timed = [cue for cue, lines in cues if cue.start is not None and _said(lines)]
    flashes = sum(0 <= cue.end - cue.start < _FLASH for cue in timed)
    return len(timed) > 3 and 4 * flashes >= len(timed)


def _rolls(cues: list[tuple[Cue, list[str]]]) -> bool:
    """Whether most cues begin with the line that ended the cue before, and add another."""
    timed = [(cue, _said(lines)) for cue, lines in cues if cue.start is not None and _said(lines)]
    follow = [
        (before, after)
        for (earlier, before), (later, after) in pairwise(timed)
        if later.start - earlier.end < _NEXT
    ]
    rolled = sum(len(after) > _common(before, after) > 0 for before, after in follow)
    return rolled > 2 and rolled >= _ROLLING * len(timed)


def _unrolled(cues: list[tuple[Cue, list[str]]]) -> Iterator[Cue]:
    """Cues with the lines that were not on the screen just before."""
    before: list[str] = []
    ended = -_NEXT
    for cue, lines in cues:
        shown = [plain_text(line) for line in lines]
        said = _said(lines)
        if cue.start is None:
            yield cue._replace(text=" ".join(said))
            continue
        # An empty first line: the screen was cleared, so a line seen before is said once more.
        rolled = shown[0] if shown else ""
        old = _common(before, said) if rolled and cue.start - ended < _NEXT else 0
        if said[old:]:
            yield cue._replace(text=" ".join(said[old:]))
        before, ended = said, cue.end


def _common(before: list[str], after: list[str]) -> int:
    """How many lines at the end of `before` are those at the beginning of `after`."""
    longest = min(len(before), len(after), _LINES)
    return next(k for k in range(longest, -1, -1) if before[len(before) - k :] == after[:k])
