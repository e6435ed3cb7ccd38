"""videos.csv: a list of videos, or stretches of them, that overrides all naming rules."""

import csv
import dataclasses
import os
from pathlib import Path

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption
from vatt_gh.media.file_names import is_utf8
from vatt_gh.media.file_tree import open_text
from vatt_gh.media.form import Span

LISTING = "videos.csv"
_COLUMNS = ("path", "video_id", "caption_path", "start", "end", "text", "label")


@dataclasses.dataclass(frozen=True)
class Listed:
    """A row of videos.csv.

    Attributes:
        id: unique in the list.
        path: the file.
        caption_path: its caption file, or None.
        span: the part of the file that is meant.
        captions: the row's text as a caption of the whole span.
        labels: class names.
    """

    id: str
    path: Path
    caption_path: Path | None
    span: Span
    captions: list[Caption]
    labels: tuple[str, ...]


def read_listing(manual_dir: Path) -> tuple[list[Listed], list[dict[str, str]]]:
    """Reads MANUAL_DIR/videos.csv.

    Required columns: path and video_id. Optional ones: caption_path, start and end (seconds),
    text, and label (several of them separated by "|"). Paths are relative to manual_dir, or to
    its folder videos/.

    Args:
        manual_dir: the directory.

    Returns:
        The usable rows, and rows {"id", "reason"} of the others.

    Raises:
        UserError: the file cannot be read, or a column is missing or unknown.
    """
    path = Path(manual_dir) / LISTING
    rows: dict[str, Listed] = {}
    skipped = []
    try:
        with open_text(path) as file:
            head = file.readline()
            file.seek(0)
            # Excel separates by semicolons in many locales, and by tabs in its Unicode text.
            reader = csv.DictReader(file, restkey="", delimiter=max(",;\t", key=head.count))
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            _check_columns(path, reader.fieldnames)
            for number, values in enumerate(reader, 2):
                row = _row(values, Path(manual_dir), rows)
                if isinstance(row, Listed):
                    rows[row.id] = row
                else:
                    name = values["video_id"] or f"row {number} of {LISTING}"
                    skipped.append({"id": name, "reason": row})
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"The list of videos cannot be read: {error}",
            where=path,
            expected=f"a csv file in UTF-8 with the columns {', '.join(_COLUMNS)}",
            todo="mend it, or remove it to have all files below videos/ taken",
        ) from error
    return list(rows.values()), skipped


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in _COLUMNS[:2] if name not in columns]
    unknown = [name for name in columns if name not in _COLUMNS]
    if missing or unknown:
        problem = [f"lacks {name}" for name in missing] + [f"has {name!r}" for name in unknown]
        raise UserError(
            f"The list of videos {', '.join(problem)}.",
            where=path,
            expected=f"a first row with path and video_id, and any of {', '.join(_COLUMNS[2:])}",
            todo="name the columns in the first row",
        )


def _row(values: dict[str, str], manual_dir: Path, known: dict[str, Listed]) -> Listed | str:
    """Reads a row; returns it, or why it cannot be used."""
    name = values["video_id"]
    if not name or not values["path"] or "" in values:
        return "does not have a value for every column, or has more"
    if not is_utf8(name + values["path"]):
        return "is not UTF-8"
    if name in known:
        return f"is in {LISTING} twice; the first row is taken"
    given = [file for file in (values["path"], values.get("caption_path")) if file]
    files = [_inside(manual_dir, file) for file in given]
    if None in files:
        return "has a path that leads out of manual_dir"
    for file in files:
        if not file.is_file():
            return f"{file} is missing"
    try:
        span = _span(values.get("start"), values.get("end"))
    except ValueError:
        return f"start {values.get('start')!r}, end {values.get('end')!r} are no stretch of time"
    text, labels = values.get("text") or "", values.get("label") or ""
    said = [Caption(text, span.start, span.until)] if text else []
    path, caption_path = (*files, None)[:2]
    names = tuple(label for label in labels.split("|") if label)
    return Listed(name, path, caption_path, span, said, names)


def _inside(manual_dir: Path, given: str) -> Path | None:
    """Finds the file that a list means; None: it is outside the directory.

    Lists may come from Windows, and some give paths relative to videos/.
    """
    root = Path(os.path.abspath(manual_dir))
    names = (given, given.replace("\\", "/"))
    folders = (root, root / "videos")
    places = [Path(os.path.abspath(top / name)) for top in folders for name in names]
    if not all(place.is_relative_to(root) for place in places[:2]):
        return None
    inside = (place for place in places if place.is_relative_to(root))
    return next((place for place in inside if place.is_file()), places[1])


def _span(start: str | None, end: str | None) -> Span:
    # Where semicolons separate, a comma is the decimal point.
    start, end = ((text or "").replace(",", ".") for text in (start, end))
    span = Span(float(start or 0.0), float(end) if end else None)
    if not 0 <= span.start < span.until:
        raise ValueError
    return span
