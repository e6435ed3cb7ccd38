"""Reads ids and marks in file names."""

import re

YOUTUBE_ID = r"[A-Za-z0-9_-]{11}"
# Rules that find an id in a name: description and pattern; the first match counts.
_RULES = {
    "11 characters": rf"({YOUTUBE_ID})$",
    "[id]": rf".*\[({YOUTUBE_ID})\]$",
    "-id": rf".*-({YOUTUBE_ID})$",
}
_LEFT_OVER = re.compile(r"\.(f[0-9]+[a-z0-9_-]*|temp)$")
RULES = (*_RULES, "the whole name")


def video_id(stem: str) -> str:
    """Finds the id in a name: an 11-character stem, "[ID]" or "-ID" at its end, else the stem."""
    return id_and_rule(stem)[0]


def id_and_rule(stem: str) -> tuple[str, str]:
    """Finds the id in a file's name, and the one of RULES that found it."""
    for rule, pattern in _RULES.items():
        match = re.match(pattern, stem)
        if match:
            return match.group(1), rule
    return stem, RULES[-1]


def without_mark(stem: str) -> tuple[str, bool]:
    """Returns a file's name without yt-dlp's mark of a left-over, and whether it had one.

    Marks are ".f137" and the like (a format that was to be merged with another) and ".temp" (an
    unfinished file).
    """
    rest = _LEFT_OVER.sub("", stem)
    return rest, rest != stem


def is_utf8(name: str) -> bool:
    """Tells whether a name can be written as UTF-8.

    Python keeps non-UTF-8 bytes of file names as surrogates, which UTF-8 cannot encode.
    """
    return not any("\udc80" <= character <= "\udcff" for character in name)
