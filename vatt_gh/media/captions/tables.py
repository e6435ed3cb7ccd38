"""Captions of one video as a table, as in howto100m_captions.zip or from Whisper."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vatt_gh.media.captions.cues import CaptionFileError, Cue
from vatt_gh.media.captions.rows import columns_of, row_cue

_COLUMNS = ("start", "end", "text")  # without a header


def table_cues(path: Path, content: str) -> list[Cue]:
    """Reads the cues of a table; further columns are ignored.

    Args:
        path: the file, for messages.
        content: its text: a header with names for text, start, and end or duration, in any order,
            then rows; or only rows of start, end and text.

    Returns:
        One cue per row.

    Raises:
        CaptionFileError: it lacks such columns, or is not a table.
    """
    reader = _reader(content, _delimiter(content))
    try:
        names = [name.strip() for name in next(_rows(reader))]
        if columns_of(tuple(names)).complete():
            return [_cue(reader, names, row) for row in _rows(reader)]
        if _is_timed(names):
            rows = (_cue(reader, _COLUMNS, row) for row in _rows(reader))
            return _in_order(path, [_cue(reader, _COLUMNS, names), *rows])
    except csv.Error as error:
        raise CaptionFileError(path, f"is no table near line {reader.line_num}: {error}") from error
    raise CaptionFileError(path, f"has no columns {', '.join(_COLUMNS)} (or duration)")


def _reader(content: str, delimiter: str) -> Any:
    # Whisper's .tsv has no quoting: a quote could begin a cell and end many rows later.
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    return csv.reader(io.StringIO(content), delimiter=delimiter, quoting=quoting)


def _rows(reader: Any) -> Iterator[list[str]]:
    rows = (row for row in reader if row)
    unquoted = reader.dialect.quoting == csv.QUOTE_NONE
    return (list(map(_unquoted, row)) for row in rows) if unquoted else rows


def _unquoted(cell: str) -> str:
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"') if whole else cell


def _cue(reader: Any, names: Sequence[str], row: list[str]) -> Cue:
    # Surplus cells after the text belong to it: it has unquoted commas.
    if len(row) > len(names) and columns_of(tuple(names))["text"][0] == names[-1]:
        row = [*row[: len(names) - 1], ",".join(row[len(names) - 1 :])]
    return row_cue(f"line {reader.line_num}", dict(zip(names, row, strict=False)))


def _in_order(path: Path, cues: list[Cue]) -> list[Cue]:
    """Returns the cues of a table without a header, if its second column is an end."""
    times = [
        (c.start, c.end) for c in cues if isinstance(c.start, float) and isinstance(c.end, float)
    ]
    if 2 * sum(end < start for start, end in times) >= len(times):
        raise CaptionFileError(path, "has no header, and its second column does not hold end times")
    return cues


def _delimiter(content: str) -> str:
    """Finds the first delimiter that makes the first row a header, or times."""
    first = content.lstrip().partition("\n")[0]
    for delimiter in "\t;,":
        cells = next(_rows(_reader(first, delimiter)), [])
        if columns_of(tuple(map(str.strip, cells))).complete() or _is_timed(cells):
            return delimiter
    return ","


def _is_timed(cells: Sequence[str]) -> bool:
    """Tells whether a row without a header begins with a start and an end."""
    if len(cells) < len(_COLUMNS):
        return False
    cue = row_cue("", dict(zip(_COLUMNS, cells, strict=False)))
    return isinstance(cue.start, float) and isinstance(cue.end, float)
