"""HMDB51: three splits into training, test and unused clips of 51 actions."""

import os
import re
from pathlib import Path

from vatt_gh.media.downstream.clip import Listing
from vatt_gh.media.downstream.collector import Collector
from vatt_gh.media.files import (
    NO_NAME,
    VIDEO_SUFFIXES,
    Tree,
    is_plain_name,
    read_lines,
    scan_files,
    stem,
)
from vatt_gh.media.found import Media

LAYOUT = """
    MANUAL_DIR/
      CLASS/CLIP.avi      in any depth; other suffixes than .avi are accepted
      testTrainMulti_7030_splits/CLASS_test_split{1,2,3}.txt
                          lines "CLIP.avi N", N = 1 training, 2 test, 0 unused in this split"""
_LIST = re.compile(r"(.+)_test_split([123])\.txt")
_PARTS = {"1": "train", "2": "test", "0": ""}


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
    # The class is part of the key: two classes may share a clip name.
    media = Media(tree, VIDEO_SUFFIXES, key=_class_and_stem)
    collector = Collector(tree, media)
    for label, name in enumerate(class_names):
        for file, splits in _listed(name, lists[name], tree, collector).items():
            clip = f"{name}/{file}"
            collector.take(clip, clip, labels=(label,), splits=splits)
    return collector.listing(class_names)


def _class_and_stem(path: str) -> str:
    return f"{os.path.basename(os.path.dirname(path))}/{stem(path)}"


def _lists(tree: Tree) -> dict[str, dict[str, Path]]:
    """{class: {"1": path, "2": path, "3": path}}."""
    lists: dict[str, dict[str, Path]] = {}
    for path in tree.files:
        match = _LIST.fullmatch(os.path.basename(path))
        if match:
            lists.setdefault(match[1], {}).setdefault(match[2], Path(path))
    if not lists:
        raise tree.error("The annotation files CLASS_test_splitN.txt are missing.", tree.root)
    for name, numbers in lists.items():
        for number in "123":
            if number not in numbers:
                what = f"The annotation file {name}_test_split{number}.txt is missing."
                raise tree.error(what, tree.root)
    return lists


def _listed(
    name: str, lists: dict[str, Path], tree: Tree, collector: Collector
) -> dict[str, list[str]]:
    """Splits of a class's clips, by file name without suffix."""
    listed: dict[str, list[str]] = {}
    for number, path in sorted(lists.items()):
        seen = set()
        for line in read_lines(path, tree):
            # From the right: names may contain spaces.
            file, *part = line.rsplit(maxsplit=1)
            clip = stem(file)
            if len(part) != 1 or part[0] not in _PARTS:
                reason = f"{path.name} has a line that is not of the form NAME 0, 1 or 2"
                collector.skip(line, reason)
            elif not is_plain_name(file):
                collector.skip(f"{name}/{file}", NO_NAME)
            elif clip in seen:
                collector.skip(f"{name}/{clip}", f"{path.name} lists it twice")
            else:
                seen.add(clip)
                splits = listed.setdefault(clip, [])
                splits += [_PARTS[part[0]] + number] if part[0] != "0" else []
    return listed
