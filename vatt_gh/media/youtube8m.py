"""YouTube-8M's own files: the classes of each YouTube video.

Reads the records without TensorFlow, and only their ids and labels: skips the features of 300
frames.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from vatt_gh.media.example import byte_values, features, integers
from vatt_gh.media.file_names import YOUTUBE_ID
from vatt_gh.media.file_tree import FileTree, scan_files
from vatt_gh.media.tfrecord import read_records

LAYOUT = """
    MANUAL_DIR/
      yt8m/**/{train,validate,test}*.tfrecord   frame-level or video-level, in any depth
      yt8m/vocabulary.csv                       Index,...,Name,...
      yt8m/yt8m_ids.csv                         yt8m_id,youtube_id; or
      yt8m/yt8m_ids.jsonl                       {"yt8m_id": "nXSc", "youtube_id": "0sf943sWZls"}; or
      yt8m/j/i/AB/ABCD.js                       as published: i("ABCD","YOUTUBEID");"""
FOLDER = "yt8m"
_DIGITS = 6  # digits of an index; the list of the 3862 classes is as long as the largest index
_YT8M_ID = re.compile(r"[A-Za-z0-9_-]{4}")
_YOUTUBE_ID = re.compile(YOUTUBE_ID)
_JSONP = re.compile(r'i\("([^"]*)","([^"]*)"\);?')


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labels of YouTube-8M.

    Attributes:
        by_video: {YouTube id: indices into the class names}; empty for videos of the test set.
        class_names: "" for an index missing in the vocabulary.
        skipped: rows {"path", "reason"}: one per broken record, and one per file for all its
            records that cannot be used for the same reason.
    """

    by_video: dict[str, tuple[int, ...]]
    class_names: list[str]
    skipped: list[dict[str, str]]


def read_labels(manual_dir: Path, videos: Container[str] | None = None) -> Labels:
    """Reads all records of a directory.

    Args:
        manual_dir: see LAYOUT. The first that exists of yt8m_ids.csv, yt8m_ids.jsonl and j/i is
            used.
        videos: YouTube ids whose labels are wanted; None: all.

    Returns:
        The labels. Of contradictory records the first by path is used.

    Raises:
        UserError: the records, the vocabulary or the ids are missing, or a table cannot be read.
    """
    # The millions of files j/i/AB/ABCD.js are opened by name, not listed.
    tree = scan_files(Path(manual_dir) / FOLDER, LAYOUT, without={"j"})
    paths = [Path(path) for path in tree.files if path.endswith(".tfrecord")]
    if not paths:
        raise tree.error("The records are missing.")
    skipped = list(tree.skipped)
    class_names = _class_names(tree)
    youtube_id = _ids(tree, skipped)
    by_video: dict[str, tuple[int, ...]] = {}
    alike: dict[tuple[int, ...], tuple[int, ...]] = {}
    for path in paths:
        unusable = Counter()
        try:
            for _, record in read_records(path, skipped):
                reason = _add(record, youtube_id, len(class_names), by_video, alike, videos)
                unusable[reason] += 1
        except OSError as error:
            skipped.append({"path": str(path), "reason": f"cannot be read: {error.strerror}"})
        count = unusable.total()
        del unusable[None]
        for reason, number in sorted(unusable.items()):
            skipped.append({"path": str(path), "reason": f"{number} of {count} records {reason}"})
    return Labels(by_video, class_names, skipped)


def _add(
    record: bytes,
    youtube_id: Callable[[str], str | None],
    classes: int,
    by_video: dict[str, tuple[int, ...]],
    alike: dict[tuple[int, ...], tuple[int, ...]],
    videos: Container[str] | None,
) -> str | None:
    """Adds a record; returns the reason if it cannot be used."""
    try:
        name, labels = parse_record(record)
    except ValueError:
        return "are no examples with an id and labels"
    if not all(0 <= label < classes for label in labels):
        return "have labels that are not in vocabulary.csv"
    video = youtube_id(name)
    if video is None:
        return "have no YouTube id"
    if videos is not None and video not in videos:
        return None
    # Equal tuples are shared: few of the millions differ.
    labels = alike.setdefault(labels, labels)
    if by_video.setdefault(video, labels) != labels:
        return "contradict the labels of an earlier record"
    return None


def _class_names(tree: FileTree) -> list[str]:
    path = tree.annotation("vocabulary.csv")
    names = {}
    for row in tree.read_table(path, ("Index", "Name")):
        # isdecimal() alone accepts the digits of all scripts.
        digits = row["Index"].isascii() and row["Index"].isdecimal()
        if not digits or len(row["Index"]) > _DIGITS:
            raise tree.error(
                f"The vocabulary has an index that is no number: {row['Index']!r}", path
            )
        names[int(row["Index"])] = row["Name"]
    return [names.get(index, "") for index in range(max(names, default=-1) + 1)]


def _ids(tree: FileTree, skipped: list[dict[str, str]]) -> Callable[[str], str | None]:
    """Makes the function from YouTube-8M's ids to YouTube's."""
    for name, read in (("yt8m_ids.csv", _csv_pairs), ("yt8m_ids.jsonl", _jsonl_pairs)):
        path = tree.optional_annotation(name)
        if path is not None:
            return _table(path, read(path, tree), skipped).get
    for folder in (tree.root / "j" / "i", tree.root / "2" / "j" / "i"):
        if folder.is_dir():
            return lambda name: _published_id(folder, name)
    raise tree.error("The file yt8m_ids.csv, yt8m_ids.jsonl or the folder j/i is missing.")


def _table(path: Path, pairs: Iterator[tuple], skipped: list[dict[str, str]]) -> dict[str, str]:
    table: dict[str, str] = {}
    for number, (name, video) in enumerate(pairs, 1):
        if not (_is(_YT8M_ID, name) and _is(_YOUTUBE_ID, video)):
            reason = f"row {number} is no pair of ids: {name!r}, {video!r}"
        elif table.setdefault(name, video) != video:
            reason = f"row {number} gives {name} a second YouTube id, {video}"
        else:
            continue
        skipped.append({"path": str(path), "reason": reason})
    return table


def _is(pattern: re.Pattern, text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _csv_pairs(path: Path, tree: FileTree) -> Iterator[tuple]:
    for row in tree.read_table(path, ("yt8m_id", "youtube_id")):
        yield row["yt8m_id"], row["youtube_id"]


def _jsonl_pairs(path: Path, tree: FileTree) -> Iterator[tuple]:
    for line in tree.read_lines(path):
        try:
            row = json.loads(line)
            yield row["yt8m_id"], row["youtube_id"]
        except (json.JSONDecodeError, KeyError, TypeError):
            yield line, None


def _published_id(folder: Path, name: str) -> str | None:
    if not _is(_YT8M_ID, name):  # it becomes part of a path
        return None
    try:
        text = (folder / name[:2] / f"{name}.js").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = _JSONP.fullmatch(text.strip())
    known = match and match[1] == name and _is(_YOUTUBE_ID, match[2])
    return match[2] if known else None


def parse_record(record: bytes) -> tuple[str, tuple[int, ...]]:
    """Reads the id and the labels of a record.

    Args:
        record: a serialized tf.train.Example or tf.train.SequenceExample.

    Returns:
        The id; the labels, empty if there is no such feature.

    Raises:
        ValueError: it is no such message, or has no id.
    """
    found = features(record)
    names = list(byte_values(record, found["id"])) if "id" in found else []
    if not names:
        raise ValueError("the record has no id")
    labels = integers(record, found["labels"]) if "labels" in found else ()
    return record[slice(*names[-1])].decode("utf-8"), labels
