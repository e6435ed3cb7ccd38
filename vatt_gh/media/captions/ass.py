"""Subtitles of Advanced SubStation Alpha and its predecessor SSA.

pysubs2 1.8 reads them too, but rejects a file for one bad time, and ignores the line that names
the fields.
"""

import re
from pathlib import Path

from vatt_gh.media.captions.cues import CaptionFileError, Cue, plain_text, seconds_of

_DEFAULT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
_TIME = re.compile(r"(\d+):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}.*?(?=\{[^}]*\\p0[^}]*\}|$)", re.DOTALL)
_OVERRIDES = re.compile(r"\{[^}]*\}")
_BREAKS = re.compile(r"\\[Nnh]")


def ass_cues(path: Path, content: str) -> list[Cue]:
    """Reads the cues of an .ass or .ssa file.

    Args:
        path: the file, for messages.
        content: its text.

    Returns:
        One cue per line of dialogue that is not a drawing, in order.

    Raises:
        CaptionFileError: it has no section [Events].
    """
    cues, fields, inside, found = [], _fields(_DEFAULT_FIELDS), False, False
    for number, line in enumerate(content.split("\n"), 1):
        name, _, rest = line.strip().partition(":")
        if name.startswith("["):
            inside = name.lower() == "[events]"
            found |= inside
        elif inside and name == "Format":
            fields = _fields(rest)
        elif inside and name == "Dialogue":
            values = dict(zip(fields, rest.strip().split(",", len(fields) - 1), strict=False))
            text = values.get("text")
            said = None if text is None else _plain(text)
            if said or not text:  # else it draws, or shows nothing
                times = _seconds(values.get("start")), _seconds(values.get("end"))
                cues.append(Cue(f"line {number}", said, *times))
    if not found:
        raise CaptionFileError(path, "holds no [Events]")
    return cues


def _fields(text: str) -> list[str]:
    return [field.strip().lower() for field in text.split(",")]


def _plain(text: str) -> str:
    return plain_text(_BREAKS.sub(" ", _OVERRIDES.sub("", _DRAWING.sub("", text))))


def _seconds(text: str | None) -> float | None:
    match = _TIME.fullmatch((text or "").strip())
    return None if match is None else seconds_of(*match.groups())
