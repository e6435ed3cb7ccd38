"""Captions of one video as a table, as in howto100m_captions.zip, or as Whisper writes it."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vatt_gh.media.captions.cues import CaptionFileError, Cue
from vatt_gh.media.captions.rows import columns_of, row_cue

COLUMNS = ("start", "end", "text")  # where no header names them


def table_cues(path: Path, content: str) -> list[Cue]:
    """Cues of a table; further columns are ignored.

    Args:
        path: the file, for messages.
        content: its text: a header that names the text, the start, and the end or the duration,
            in any order, then rows; or rows of start, end and text alone.

    Returns:
        One cue for each row.

    Raises:
        CaptionFileError: it has no such columns, or is no table.
    """
    reader = csv.reader(io.StringIO(content), delimiter=_delimiter(content))
    try:
        names = [name.strip() for name in next(_rows(reader))]
        if columns_of(tuple(names)).complete():
            return [_cue(reader, names, row) for row in _rows(reader)]
        if len(names) >= len(COLUMNS):
            first = _cue(reader, COLUMNS, names)
            if isinstance(first.start, float) and isinstance(first.end, float):
                return _in_order(path, [first, *(_cue(reader, COLUMNS, r) for r in _rows(reader))])
    except csv.Error as error:
        raise CaptionFileError(path, f"is no table near line {reader.line_num}: {error}") from error
    raise CaptionFileError(path, f"has no columns {', '.join(COLUMNS)} (or duration)")


def _rows(reader: Any) -> Iterator[list[str]]:
    return (row for row in reader if row)


def _cue(reader: Any, names: Sequence[str], row: list[str]) -> Cue:
    # Surplus cells after the text are parts of it: it holds commas and no quotes around them.
    if len(row) > len(names) and columns_of(tuple(names))["text"][0] == names[-1]:
        row = [*row[: len(names) - 1], ",".join(row[len(names) - 1 :])]
    return row_cue(f"line {reader.line_num}", dict(zip(names, row, strict=False)))


def _in_order(path: Path, cues: list[Cue]) -> list[Cue]:
    """The cues of a table without a header, if its second column is an end."""
    times = [
        (c.start, c.end) for c in cues if isinstance(c.start, float) and isinstance(c.end, float)
    ]
    if 2 * sum(end < start for start, end in times) >= len(times):
        raise CaptionFileError(path, "has no header, and its second column is no end of captions")
    return cues


def _delimiter(content: str) -> str:
    header = content.lstrip().partition("\n")[0]
    return max("\t;,", key=header.count)
