"""What the names of files say."""

import re

_ID = r"[A-Za-z0-9_-]{11}"
# How an id is found in a name, for people, and as a pattern; the first that fits counts.
_RULES = {
    "11 characters": rf"({_ID})$",
    "[id]": rf".*\[({_ID})\]$",
    "-id": rf".*-({_ID})$",
}
_LEFT_OVER = re.compile(r"\.(f[0-9]+[a-z0-9_-]*|temp)$")
RULES = (*_RULES, "the whole name")


def video_id(stem: str) -> str:
    """The id in a file's name: an 11-character stem, "[ID]" or "-ID" at its end, else the stem."""
    return id_and_rule(stem)[0]


def id_and_rule(stem: str) -> tuple[str, str]:
    """The id in a file's name, and which one of RULES it was found by."""
    for rule, pattern in _RULES.items():
        match = re.match(pattern, stem)
        if match:
            return match.group(1), rule
    return stem, RULES[-1]


def without_mark(stem: str) -> tuple[str, bool]:
    """A file's name without the mark of yt-dlp's left-overs, and whether it had one.

    They are ".f137" and the like, a format that was to be merged with another, and ".temp", a file
    that was not finished.
    """
    rest = _LEFT_OVER.sub("", stem)
    return rest, rest != stem


def is_utf8(name: str) -> bool:
    """Whether a name can be written as UTF-8.

    Python keeps bytes of file names that are not UTF-8 as characters that UTF-8 does not have.
    """
    return not any("\udc80" <= character <= "\udcff" for character in name)
