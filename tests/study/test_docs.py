"""The tables of docs/study.md match the rows next to it."""

import contextlib
import csv
import io
import json
from pathlib import Path

from vatt_gh.study.plan import METHODS
from vatt_gh.study.table import signals_to_markdown, to_markdown

DOCS = Path(__file__).parents[2] / "docs"


def rows_of(name):
    rows = list(csv.DictReader(io.StringIO((DOCS / name).read_text())))
    for row in rows:
        for key, value in row.items():
            with contextlib.suppress(ValueError):
                row[key] = int(value) if value.isdigit() else float(value)
    return rows


def test_tables_are_made_of_the_rows():
    text = (DOCS / "study.md").read_text()
    rows, areas = rows_of("study.csv"), rows_of("signals.csv")
    assert {row["method"] for row in rows} <= METHODS.keys()
    assert to_markdown(rows) in text
    assert signals_to_markdown(areas) in text


def test_the_settings_of_rows_differ_from_the_defaults_beside_them():
    """These are the defaults of when the rows were made; those of today may be others."""
    stored = json.loads((DOCS / "study_defaults.json").read_text())
    for row in rows_of("study.csv"):
        settings = json.loads(row["settings"])
        assert settings.keys() <= stored.keys()
        assert all(stored[key] != value for key, value in settings.items())
