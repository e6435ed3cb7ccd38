"""SBV, YouTube's old subtitle format."""

import re
from pathlib import Path

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text, times_of

_TIME = r"(\d+):(\d{1,2}):(\d{1,2}(?:\.\d+)?)"
_TIMES = re.compile(rf"\s*{_TIME},{_TIME}\s*")
_CUE = re.compile(r"\s*\d+:\d\S*,\s*\d+:\d\S*\s*")  # even if its times are invalid


def sbv_cues(path: Path, content: str) -> list[Cue]:
    """Reads the cues of an SBV file.

    Args:
        path: the file, for messages.
        content: its text: lines "H:MM:SS.SSS,H:MM:SS.SSS", each followed by lines of text.

    Returns:
        One cue per line with times.

    Raises:
        CaptionFileError: it has no such line.
    """
    cues: list[tuple[Cue, list[str]]] = []
    for number, line in enumerate(content.split("\n"), 1):
        if _CUE.fullmatch(line):
            cues.append((Cue(f"line {number}", "", *times_of(_TIMES.fullmatch(line))), []))
        elif cues:
            cues[-1][1].append(line.replace("[br]", "\n"))
    if not cues:
        raise CaptionFileError(path, 'holds no line "START,END"')
    return [cue._replace(text=plain_text("\n".join(text))) for cue, text in cues]
