"""Reads the text of a caption file in any encoding."""

import codecs
import contextlib
import re
import unicodedata
from pathlib import Path

import chardet

from vatt_gh.media.captions.cues import CaptionFileError
from vatt_gh.media.file_names import is_utf8

# A day of speech takes less than a megabyte; a larger file is something else.
MAX_BYTES = 64_000_000
# Byte order marks; UTF-32's begins with UTF-16's.
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SURE = 0.05  # chardet's confidence; three words of Russian have more
_MOSTLY = 20  # correct characters needed per wrong byte
_ASCII_SHARE = 0.6  # share of unaccented letters, in any language with Latin letters
_OLD = re.compile(r"mac|cp(437|7\d\d|8[56]\d)|ebcdic", re.IGNORECASE)  # older than captions
# Signs that a wrong encoding puts in place of letters: within a word, or at its end.
_SIGNS = "\xa1-\xb3\xb6\xb8\xb9\xbb-\xbf\xd7\xf7\u2030\u2044\u02c6-\u02dd"
_SIGN = re.compile(rf"[^\W\d_][{_SIGNS}][^\W\d_]|[^\W\d_]{{3}}[\xb3\xb9\xbc\xbe]")
# Scripts that mix in one word; and first words of names that are not scripts.
_TOGETHER = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "FULLWIDTH"}
_NO_SCRIPT = {"MICRO", "MASCULINE", "FEMININE", "MODIFIER", "IDEOGRAPHIC"}


def read_text(path: Path) -> str:
    """Reads a file as text, with "\\n" as line end.

    A byte order mark, if present, decides (UTF-8, UTF-16, UTF-32). Otherwise the file is UTF-8 if
    it is valid UTF-8 apart from a few bytes, which other text hardly ever is. Otherwise chardet's
    guess is used if it gives words of letters of one script; else Windows-1252, on the same
    condition.

    Args:
        path: the file.

    Returns:
        Its text, without a byte order mark.

    Raises:
        CaptionFileError: it cannot be read, is empty or too large, is not text, or has an unknown
            encoding.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CaptionFileError(path, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise CaptionFileError(path, f"has more than {MAX_BYTES} bytes")
    mark = next((encoding for bom, encoding in _BOMS.items() if data.startswith(bom)), None)
    if b"\0" in data and mark in (None, "utf-8-sig"):
        raise CaptionFileError(path, "holds zero bytes: it is no text, or UTF-16 without a mark")
    try:
        text = data.decode(mark) if mark else _decode(data)
    except UnicodeDecodeError as error:
        raise CaptionFileError(path, f"is not the {error.encoding} that it begins with") from error
    if text is None:
        raise CaptionFileError(path, "is in an unknown encoding: convert it to UTF-8")
    if not text.strip():
        raise CaptionFileError(path, "is empty")
    # Windows turns "\r\n" into "\r\r\n" in a file that it takes for Unix text.
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str | None:
    """Decodes the text of a file without a mark; None: its encoding is unknown."""
    with contextlib.suppress(UnicodeDecodeError):
        return data.decode("utf-8")
    text = data.decode("utf-8", "surrogateescape")
    bad = sum(not is_utf8(character) for character in text)
    if _MOSTLY * bad < sum(not c.isascii() for c in text) - bad:
        return text  # captions with the bad bytes are left out later
    guess = chardet.detect(data)
    sure = guess["confidence"] >= _SURE and not _OLD.match(guess["encoding"] or "")
    for encoding in (guess["encoding"] if sure else None, "cp1252"):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            text = data.decode(encoding or "ascii")
            if not _is_rubbish(text):
                return text
    return None


def _is_rubbish(text: str) -> bool:
    """Tells whether a wrong encoding made this text."""
    if any(unicodedata.category(c) in ("Cc", "Cn", "Co") for c in set(text) - set("\n\r\t\f\v")):
        return True
    letters = [c for c in text if c.isalpha()]
    if _scripts(text) == {"LATIN"} and sum(map(str.isascii, letters)) < _ASCII_SHARE * len(letters):
        return True
    words = {word for word in re.findall(r"\S+", text) if not word.isascii()}
    return any(_SIGN.search(word) for word in words) or any(
        len(scripts) > 1 and not scripts <= _TOGETHER
        for word in words
        for scripts in map(_scripts, re.findall(r"[^\W\d_]+", word))
    )


def _scripts(text: str) -> set[str]:
    """Finds the scripts of a text's letters."""
    names = (unicodedata.name(c, "").partition(" ")[0] for c in set(text) if c.isalpha())
    return {name for name in names if name} - _NO_SCRIPT
