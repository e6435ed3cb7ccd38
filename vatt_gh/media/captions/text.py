"""The text of a caption file, whatever its encoding."""

import codecs
from pathlib import Path

from vatt_gh.media.captions.cues import CaptionFileError

# A day of speech takes less than a megabyte; what is larger is another file with this name.
MAX_BYTES = 64_000_000


def read_text(path: Path) -> str:
    """Reads a file as text, with "\\n" at the ends of its lines.

    The rule: a byte order mark decides where there is one (UTF-8, UTF-16). Else it is UTF-8 if
    all of it is valid UTF-8, which other text hardly ever is. Else it is Windows-1252, and
    Latin-1 where it has one of the five bytes that Windows-1252 does not define: the encodings of
    old subtitles in Western languages, where ASCII letters are right in any case.

    Args:
        path: the file.

    Returns:
        Its text, without a byte order mark.

    Raises:
        CaptionFileError: it cannot be read, is empty or too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CaptionFileError(path, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise CaptionFileError(path, f"has more than {MAX_BYTES} bytes")
    try:
        text = _decode(data)
    except UnicodeDecodeError as error:
        raise CaptionFileError(path, f"is not the {error.encoding} that it begins with") from error
    if not text.strip():
        raise CaptionFileError(path, "is empty")
    if "\0" in text:
        raise CaptionFileError(path, "holds zero bytes: it is no text, or UTF-16 without a mark")
    # "\r\r\n" is what Windows makes of "\r\n" in a file that it takes for Unix text.
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if data.startswith(codecs.BOM_UTF8):
        return data.decode("utf-8-sig")
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")
