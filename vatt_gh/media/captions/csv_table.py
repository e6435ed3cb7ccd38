"""Captions of one video as a table, as in howto100m_captions.zip."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vatt_gh.media.captions.cues import CaptionFileError, Cue

COLUMNS = ("start", "end", "text")


def csv_cues(path: Path, content: str) -> list[Cue]:
    """Cues of a csv file; further columns are ignored.

    Args:
        path: the file, for messages.
        content: its text: a header with start, end and text in any order, then rows; seconds.

    Returns:
        One cue for each row.

    Raises:
        CaptionFileError: it has no such header, or is no table.
    """
    reader = csv.DictReader(io.StringIO(content), delimiter=_delimiter(content))
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        if not set(COLUMNS) <= set(reader.fieldnames):
            raise CaptionFileError(path, f"has no columns {', '.join(COLUMNS)}")
        return [
            Cue(f"line {reader.line_num}", _text(row, reader.fieldnames), row["start"], row["end"])
            for row in reader
        ]
    except csv.Error as error:
        raise CaptionFileError(path, f"is no table near line {reader.line_num}: {error}") from error


def _text(row: dict[str | None, Any], columns: Sequence[str]) -> str | None:
    # Surplus cells after the text are parts of it: it holds commas and no quotes around them.
    surplus = row.get(None, []) if columns[-1] == "text" else []
    return ",".join([row["text"], *surplus]) if surplus else row["text"]


def _delimiter(content: str) -> str:
    header = content.partition("\n")[0]
    return max(",;\t", key=header.count)
