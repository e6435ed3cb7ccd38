"""Kinetics-400: ten-second clips of 400 actions, cut from YouTube videos."""

import csv
from pathlib import Path

from vatt_gh.media.downstream.clips import Collector, Listing
from vatt_gh.media.file_tree import VIDEO_SUFFIXES, FileTree, open_text, scan_files

LAYOUT = """
    MANUAL_DIR/
      train/LABEL/YOUTUBEID_000010_000020.mp4   the original layout, with spaces or _ in LABEL; or
      train/YOUTUBEID_000010_000020.mp4         CVDF's layout; in any depth, any suffix of video
      *.csv                                     label,youtube_id,time_start,time_end,split"""
_COLUMNS = ("youtube_id", "time_start", "time_end", "split")
SPLITS = ("train", "validate", "test")
_WRITTEN = {name: name for name in SPLITS} | {"val": "validate"}


def list_clips(manual_dir: Path) -> Listing:
    """Lists the clips of Kinetics-400.

    Every csv file with the columns of LAYOUT is read, at any depth and under any name; labels come
    from there, never from folders.

    Args:
        manual_dir: see LAYOUT.

    Returns:
        Its clips, with the splits train, validate and test. Classes are sorted by name.

    Raises:
        UserError: the directory or the csv files are missing or cannot be read.
    """
    tree = scan_files(manual_dir, LAYOUT)
    rows = [row for path in _tables(tree) for row in tree.read_table(path, _COLUMNS)]
    class_names = sorted({_label(row) for row in rows} - {""})
    index = {name: label for label, name in enumerate(class_names)}
    collector = Collector(tree, VIDEO_SUFFIXES)
    for row in rows:
        video, split = row["youtube_id"], _WRITTEN.get(row["split"])
        name = _file_name(row)
        if name is None or split is None:
            reason = f"has no usable times or split: {', '.join(row.values())}"
            collector.skip(video, reason)
        elif collector.accepts(name, f"{_label(row)}, {split}"):
            # The first published list of the test set has no labels.
            labels = (index[_label(row)],) if _label(row) else ()
            collector.take(name, name, labels=labels, splits=(split,))
    return collector.listing(class_names)


def _tables(tree: FileTree) -> list[Path]:
    tables = [Path(path) for path in tree.files if path.lower().endswith(".csv")]
    tables = [path for path in tables if _has_columns(path)]
    if not tables:
        raise tree.error("The annotation files are missing.")
    return tables


def _has_columns(path: Path) -> bool:
    # Keep an unreadable file: reading it again reports the error.
    try:
        with open_text(path, errors="replace") as file:
            header = next(csv.reader([file.readline(10_000)], skipinitialspace=True), [])
    except (OSError, ValueError):
        return True
    return set(_COLUMNS) <= {name.strip() for name in header}


def _label(row: dict[str, str]) -> str:
    return row.get("label", "").replace("_", " ")


def _file_name(row: dict[str, str]) -> str | None:
    try:
        start, end = (int(float(row[name])) for name in ("time_start", "time_end"))
    except (ValueError, OverflowError):
        return None
    return f"{row['youtube_id']}_{start:06d}_{end:06d}"
