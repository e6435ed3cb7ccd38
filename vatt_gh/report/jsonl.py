"""Reads the row files that a run writes: one JSON object per line."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vatt_gh.errors import UserError

METRICS = "metrics.jsonl"  # in a work directory
Rows = Sequence[Mapping[str, Any]]

_log = logging.getLogger(__name__)


def read_jsonl(path: str | os.PathLike[str], needed: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Reads a JSONL file such as metrics.jsonl.

    A run that is killed while writing leaves half a row at the end of the file. That row is left
    out with a logged warning; a broken row anywhere else means that the file is damaged.

    Args:
        path: the file; UTF-8, one JSON object per line; blank lines are skipped.
        needed: keys that every row has to have.

    Returns:
        The rows in file order.

    Raises:
        UserError: the file is missing, a row before its end is not a JSON object, or lacks a key.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            "The JSONL file does not exist.",
            where=path,
            expected="a JSONL file written by a run",
            todo="check the work directory; a run writes the file at its first logged step",
        )
    rows = []
    lines = path.read_bytes().split(b"\n")
    # After the last newline there is nothing in a finished file, otherwise half a row.
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parse(line)
        missing = [key for key in needed if row is not None and key not in row]
        if missing:
            raise UserError(
                f"A row has no {missing[0]!r}.",
                where=f"{path}, line {number}",
                expected=f"rows as a training writes them, with {', '.join(needed)}",
                todo="mend or delete that line",
            )
        if row is not None:
            rows.append(row)
        elif number == len(lines):
            _log.warning("%s, line %d: unfinished last row left out", path, number)
        else:
            raise UserError(
                "A row is not a JSON object.",
                where=f"{path}, line {number}",
                expected='one JSON object a line, for example {"step": 10, "loss": 4.2}',
                todo="mend or delete that line",
            )
    return rows


def _parse(line: bytes) -> dict[str, Any] | None:
    """Returns the row, or None if the line is not one whole JSON object."""
    try:
        row = json.loads(line)
    except ValueError:  # both broken JSON and broken UTF-8
        return None
    return row if isinstance(row, dict) else None
