"""WebVTT and SRT, as far as real files keep to them; YouTube's rolling captions unrolled."""

import re
from collections.abc import Iterator
from pathlib import Path

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?!\S)")
_CUE = re.compile(r"\s*-?\d\S*\s*-->")  # whatever its times are worth
_TIME_TAG = re.compile(r"<(?:\d+:)?\d+:\d+[.,]\d+>")
_NO_CUE = re.compile(r"NOTE(\s|$)|(STYLE|REGION)\s*$")
_FLASH = 0.0201  # s; YouTube shows a finished line alone for 10 ms before it rolls up
_NEXT = 0.1  # s; a line that rolls up stays on the screen without a gap


def subtitle_cues(path: Path, content: str) -> list[Cue]:
    """Cues of a WebVTT or SRT file.

    A cue's text goes on to the next line with times, also over empty lines, which some tools put
    within it. In rolling captions a cue shows the line before, then a new one: each line becomes
    one cue with the times of its first appearance. Captions roll where lines have times within
    them, as YouTube's do, or where a quarter of the cues are flashes, as in an SRT made of them.

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
    cues = [(Cue(f"line {number}", "", *_times(line)), lines) for number, line, lines in blocks]
    if _rolls([cue for cue, _ in cues], content):
        return list(_unrolled(cues))
    return [cue._replace(text=plain_text("\n".join(lines))) for cue, lines in cues]


def _blocks(lines: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    """(number of the line with the times, that line, the lines of text), for each cue."""
    number, times, text = 0, "", []
    comment = False
    for k, line in enumerate(lines):
        if _CUE.match(line) and not comment:
            # The line right before the times, first of its block or a number, names the cue.
            named = k and lines[k - 1] and (k < 2 or not lines[k - 2] or lines[k - 1].isdigit())
            if times:
                yield number, times, text[:-1] if named and text else text
            number, times, text = k + 1, line, []
        elif comment or (_NO_CUE.match(line) and k and not lines[k - 1]):
            comment = bool(line)
        else:
            text.append(line)
    if times:
        yield number, times, text


def _times(line: str) -> tuple[float | None, float | None]:
    match = _TIMES.match(line)
    if match is None:
        return None, None
    return _seconds(*match.groups()[:3]), _seconds(*match.groups()[3:])


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes)
    return round(whole + float(seconds.replace(",", ".")), 6)


def _rolls(cues: list[Cue], content: str) -> bool:
    timed = [cue for cue in cues if cue.start is not None]
    flashes = sum(0 <= cue.end - cue.start < _FLASH for cue in timed)
    return bool(_TIME_TAG.search(content)) or (len(timed) > 3 and 4 * flashes >= len(timed))


def _unrolled(cues: list[tuple[Cue, list[str]]]) -> Iterator[Cue]:
    """Cues with the lines that were not on the screen just before."""
    before: list[str] = []
    ended = -_NEXT
    for cue, lines in cues:
        shown = [plain_text(line) for line in lines]
        said = [line for line in shown if line]
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
    longest = min(len(before), len(after))
    return next(k for k in range(longest, -1, -1) if before[len(before) - k :] == after[:k])
