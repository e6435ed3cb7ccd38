"""What the names of files say."""

import re

_ID = r"[A-Za-z0-9_-]{11}"


def video_id(stem: str) -> str:
    """The id in a file's name: an 11-character stem, "[ID]" or "-ID" at its end, else the stem."""
    for pattern in (rf"({_ID})$", rf".*\[({_ID})\]$", rf".*-({_ID})$"):
        match = re.match(pattern, stem)
        if match:
            return match.group(1)
    return stem


def is_utf8(name: str) -> bool:
    """Whether a name can be written as UTF-8.

    Python keeps bytes of file names that are not UTF-8 as characters that UTF-8 does not have.
    """
    return not any("\udc80" <= character <= "\udcff" for character in name)
