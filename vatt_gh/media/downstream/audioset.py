"""AudioSet: ten-second clips of YouTube videos with any of 527 sound classes."""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av

from vatt_gh.media.downstream.clips import Clip, Collector, Listing
from vatt_gh.media.file_names import YOUTUBE_ID, video_id
from vatt_gh.media.file_tree import (
    MEDIA_SUFFIXES,
    NO_FILE,
    NO_LIST,
    NO_NAME,
    FileTree,
    is_plain_name,
    scan_files,
    stem,
)
from vatt_gh.media.opening import open_media
from vatt_gh.media.probe import usable
from vatt_gh.media.sound_file import is_sound_file

LAYOUT = """
    MANUAL_DIR/
      unbalanced_train_segments.csv, balanced_train_segments.csv, eval_segments.csv
                              one or more, as published: # YTID, start_seconds, end_seconds, ...
      class_labels_indices.csv    index,mid,display_name
      **/YTID.mp4             the whole video, or the piece alone: its duration tells
      **/YTID_START.wav       the piece; also YTID_START_END, YTID_START-END, and a "Y" before YTID;
                              START in seconds or milliseconds
      **/YYTID.wav            the piece; all with any suffix of video or sound"""
SPLITS = ("unbalanced_train", "balanced_train", "eval")
TABLES = {f"{name}_segments.csv": name for name in SPLITS}
_DECIMAL = r"\d+(?:\.\d+)?"
_PIECE = rf"({YOUTUBE_ID})_({_DECIMAL})(?:[_-]{_DECIMAL})?"


class Excerpt(NamedTuple):
    """A row of a csv file: its place in the video, in seconds, and its class indices."""

    video: str
    start: float
    end: float
    labels: tuple[int, ...]
    split: str

    @property
    def id(self) -> str:
        """YTID_MILLISECONDS, as in AudioSet's newer files."""
        return f"{self.video}_{round(self.start * 1000)}"


class Found(NamedTuple):
    """The meaning of a file's name: the whole video, or a piece with or without a start."""

    path: str
    whole: bool
    start: float | None


def list_clips(manual_dir: Path) -> Listing:
    """Lists the segments of AudioSet.

    A number in a name is compared with the segment's start, both in seconds and in milliseconds; if
    neither matches to a second, the file is skipped. A file named by the id alone is opened for its
    duration, unless the segment begins with the video: if it is less than half a second longer than
    the segment, it is the segment, not the whole video. Of several files, videos come first, then
    files of the segment alone.

    Args:
        manual_dir: see LAYOUT.

    Returns:
        Its clips YTID_MILLISECONDS, with the splits unbalanced_train, balanced_train and eval.

    Raises:
        UserError: the directory or the csv files are missing or cannot be read.
    """
    tree = scan_files(manual_dir, LAYOUT)
    class_names, index = _classes(tree)
    files = _files(tree)
    collector, used = Collector(tree, suffixes=()), set()
    for segment in _segments(tree, index, collector):
        if not collector.accepts(segment.id, segment.split):
            continue
        fitting = sorted(
            (found for found in files.get(segment.video, ()) if _fits(found, segment)),
            key=lambda found: (is_sound_file(found.path), found.whole, found.path),
        )
        if not fitting:
            collector.skip(segment.id, NO_FILE)
            continue
        used.update(found.path for found in fitting)
        best, _ = usable([found.path for found in fitting])
        chosen = next(found for found in fitting if found.path == str(best))
        for other in (found for found in fitting if found is not chosen):
            reason = f"is not needed: {segment.id} is taken from {chosen.path}"
            collector.skipped.append({"path": other.path, "reason": reason})
        place = best, *_times(chosen, segment)
        collector.add(Clip(segment.id, *place, labels=segment.labels, splits=(segment.split,)))
    left = sorted({found.path for several in files.values() for found in several} - used)
    collector.skipped += [{"path": path, "reason": NO_LIST} for path in left]
    return collector.listing(class_names)


def _classes(tree: FileTree) -> tuple[list[str], dict[str, int]]:
    """Reads class names by index, and indices by machine identifier such as /m/09x0r."""
    path = tree.annotation("class_labels_indices.csv")
    rows = list(tree.read_table(path, ("index", "mid", "display_name")))
    if [row["index"] for row in rows] != [str(n) for n in range(len(rows))]:
        raise tree.error("The classes are not numbered from 0 without gaps.", path)
    names = [row["display_name"] for row in rows]
    return names, {row["mid"]: label for label, row in enumerate(rows)}


def _segments(tree: FileTree, index: dict[str, int], collector: Collector) -> Iterator[Excerpt]:
    paths = [path for name in TABLES if (path := tree.optional_annotation(name))]
    if not paths:
        raise tree.error(f"The annotation files {', '.join(TABLES)} are missing.")
    for path in paths:
        split = TABLES[path.name]
        for line in tree.read_lines(path):
            if line.startswith("#"):
                continue
            try:
                # Line by line: an unclosed quote costs only one row.
                video, start, end, mids = next(csv.reader([line], skipinitialspace=True))
                start, end = float(start), float(end)
                labels = tuple(index[mid.strip()] for mid in mids.split(","))
            except (ValueError, KeyError, csv.Error) as error:
                reason = f"{path.name} has a row of another form or with an unknown class: {error}"
                collector.skip(line.split(",")[0], reason)
                continue
            if not is_plain_name(video):
                collector.skip(video, NO_NAME)
            elif not (0 <= start < end < math.inf):
                collector.skip(video, f"is from {start} s to {end} s")
            else:
                yield Excerpt(video, start, end, labels, split)


def _files(tree: FileTree) -> dict[str, list[Found]]:
    """Lists the possible meanings of each file, by video id: a name can be read in several ways."""
    files: defaultdict[str, list[Found]] = defaultdict(list)
    for path in tree.media_files(MEDIA_SUFFIXES):
        name = stem(path)
        files[video_id(name)].append(Found(path, True, None))
        if re.fullmatch(rf"Y{YOUTUBE_ID}", name):
            files[name[1:]].append(Found(path, False, None))
        for pattern in (_PIECE, f"Y{_PIECE}"):
            if match := re.fullmatch(pattern, name):
                files[match[1]].append(Found(path, False, float(match[2])))
    return files


def _fits(found: Found, segment: Excerpt) -> bool:
    if found.start is None:
        return True
    return any(abs(found.start * unit - segment.start) < 1 for unit in (1, 0.001))


def _times(found: Found, segment: Excerpt) -> tuple[float | None, float | None]:
    """Finds the segment's place in the file; None, None: the file is the segment."""
    if not found.whole:
        return None, None
    if segment.start > 0:
        seconds = _seconds(found.path)
        if seconds is not None and seconds <= segment.end - segment.start + 0.5:
            return None, None
    return segment.start, segment.end


def _seconds(path: str) -> float | None:
    """Reads the duration that a file claims; None if it claims none or cannot be opened."""
    try:
        with open_media(path) as container:
            return None if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, OSError):  # whoever reads the clip will report the error
        return None
