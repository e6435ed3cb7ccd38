"""HMDB51: three splits into training, test and unused clips of 51 actions."""

import os
import re
from pathlib import Path

from vatt_gh.media.downstream.clips import Collector, Listing
from vatt_gh.media.file_tree import (
    NO_NAME,
    VIDEO_SUFFIXES,
    FileTree,
    is_plain_name,
    scan_files,
    stem,
)

LAYOUT = """
    MANUAL_DIR/
      CLASS/CLIP.avi      in any depth; other suffixes than .avi are accepted
      testTrainMulti_7030_splits/CLASS_test_split{1,2,3}.txt
                          lines "CLIP.avi N", N = 1 training, 2 test, 0 unused in this split"""
_LIST = re.compile(r"(.+)_test_split[123]\.txt")
SPLITS = tuple(f"{part}{number}" for number in (1, 2, 3) for part in ("train", "test"))
_SPLIT_CODES = {"1": "train", "2": "test", "0": ""}


def list_clips(manual_dir: Path) -> Listing:
    """Lists the clips of HMDB51.

    Args:
        manual_dir: see LAYOUT.

    Returns:
        Its clips, with the splits train1, test1, ... test3; a clip that no split uses has none.
        Classes are sorted by name.

    Raises:
        UserError: the directory or a class's list is missing or cannot be read.
    """
    tree = scan_files(manual_dir, LAYOUT)
    lists = _lists(tree)
    class_names = sorted(lists)
    collector = Collector(tree, VIDEO_SUFFIXES, key=_class_and_stem)
    for label, name in enumerate(class_names):
        for file, splits in _listed(name, lists[name], tree, collector).items():
            clip = f"{name}/{file}"
            collector.take(clip, clip, labels=(label,), splits=tuple(splits))
    return collector.listing(class_names)


def _class_and_stem(path: str) -> str:
    # The class is part of the key: two classes may share a clip name.
    return f"{os.path.basename(os.path.dirname(path))}/{stem(path)}"


def _lists(tree: FileTree) -> dict[str, list[Path]]:
    """Finds the three lists of each class."""
    matches = (_LIST.fullmatch(os.path.basename(path)) for path in tree.files)
    names = dict.fromkeys(match[1] for match in matches if match)
    if not names:
        raise tree.error("The annotation files CLASS_test_splitN.txt are missing.")
    return {n: [tree.annotation(f"{n}_test_split{k}.txt") for k in (1, 2, 3)] for n in names}


def _listed(
    name: str, lists: list[Path], tree: FileTree, collector: Collector
) -> dict[str, list[str]]:
    """Reads the splits of a class's clips, by file name without suffix."""
    listed: dict[str, list[str]] = {}
    for number, path in enumerate(lists, 1):
        seen = set()
        for line in tree.read_lines(path):
            # From the right: names may contain spaces.
            file, *part = line.rsplit(maxsplit=1)
            clip = stem(file)
            if len(part) != 1 or part[0] not in _SPLIT_CODES:
                reason = f"{path.name} has a line that is not of the form NAME 0, 1 or 2"
                collector.skip(line, reason)
            elif not is_plain_name(file):
                collector.skip(f"{name}/{file}", NO_NAME)
            elif clip in seen:
                collector.skip(f"{name}/{clip}", f"{path.name} lists it twice")
            else:
                seen.add(clip)
                splits = listed.setdefault(clip, [])
                splits += [f"{_SPLIT_CODES[part[0]]}{number}"] if part[0] != "0" else []
    return listed
