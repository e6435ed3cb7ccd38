"""YouCook2: cooking videos, cut into steps with one sentence each."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vatt_gh.media.downstream.clips import Clip, Collector, Listing
from vatt_gh.media.file_names import video_id
from vatt_gh.media.file_tree import (
    NO_FILE,
    NO_NAME,
    VIDEO_SUFFIXES,
    FileTree,
    is_plain_name,
    scan_files,
    stem,
)

LAYOUT = """
    MANUAL_DIR/
      raw_videos/{training,validation,testing}/RECIPE/YOUTUBEID.mp4   in any depth, any suffix
      annotations/youcookii_annotations_trainval.json
          {"database": {"YOUTUBEID": {"subset": "training", "annotations":
              [{"id": 0, "segment": [90, 102], "sentence": "..."}, ...]}, ...}}
      annotations/youcookii_annotations_test_segments_only.json       optional"""
SPLITS = ("training", "validation", "testing")


def list_clips(manual_dir: Path) -> Listing:
    """Lists the steps of YouCook2.

    Args:
        manual_dir: see LAYOUT.

    Returns:
        Its clips YOUTUBEID_0, YOUTUBEID_1, ..., pieces of the videos, with the splits training,
        validation and testing; testing has no captions. There are no classes.

    Raises:
        UserError: the directory or the annotations are missing or cannot be read.
    """
    tree = scan_files(manual_dir, LAYOUT)
    paths = [tree.annotation("youcookii_annotations_trainval.json")]
    test = tree.optional_annotation("youcookii_annotations_test_segments_only.json")
    paths += [test] if test else []
    collector = Collector(tree, VIDEO_SUFFIXES, key=lambda path: video_id(stem(path)))
    for video, content in (pair for path in paths for pair in _database(path, tree)):
        content = content if isinstance(content, dict) else {}
        split, steps = content.get("subset"), content.get("annotations")
        if not is_plain_name(video):
            collector.skip(video, NO_NAME)
        elif split not in SPLITS or not isinstance(steps, list):
            collector.skip(video, "has no subset or no annotations")
        elif collector.accepts(video, split):
            path = collector.find(video)
            if path is None:
                collector.skip(video, f"{NO_FILE} ({len(steps)} clips)")
            else:
                _add_steps(video, path, split, steps, collector)
    return collector.listing()


def _database(path: Path, tree: FileTree) -> Iterator[tuple[str, Any]]:
    content = tree.read_json(path)
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise tree.error("The annotation file has no database.", path)
    return iter(database.items())


def _add_steps(video: str, path: Path, split: str, steps: list[Any], collector: Collector) -> None:
    seen = set()
    for step in steps:
        try:
            clip = f"{video}_{int(step['id'])}"
            start, end = (float(second) for second in step["segment"])
            sentence = str(step["sentence"]) if "sentence" in step else ""
        except (KeyError, TypeError, ValueError, OverflowError):
            collector.skip(video, f"has a step of another form: {step!r}")
            continue
        if not (0 <= start < end < math.inf):
            collector.skip(clip, f"is from {start} s to {end} s")
        elif clip in seen:
            collector.skip(clip, "is listed again")
        else:
            seen.add(clip)
            captions = (sentence,) if sentence else ()
            collector.add(Clip(clip, path, start, end, captions=captions, splits=(split,)))
