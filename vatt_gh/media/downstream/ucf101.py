"""UCF101: three splits into training and test clips of 101 actions."""

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
      UCF-101/CLASS/v_CLASS_gXX_cYY.avi       in any depth; other suffixes than .avi are accepted
      ucfTrainTestlist/classInd.txt           lines "1 ApplyEyeMakeup"
      ucfTrainTestlist/trainlist0{1,2,3}.txt  lines "CLASS/v_CLASS_gXX_cYY.avi 1"
      ucfTrainTestlist/testlist0{1,2,3}.txt   lines "CLASS/v_CLASS_gXX_cYY.avi\""""
SPLITS = tuple(f"{part}{number}" for number in (1, 2, 3) for part in ("train", "test"))


def list_clips(manual_dir: Path) -> Listing:
    """Lists the clips of UCF101.

    The archive and the lists spell HandStandPushups differently, so case is ignored.

    Args:
        manual_dir: see LAYOUT.

    Returns:
        Its clips, with the splits train1, test1, ... test3.

    Raises:
        UserError: the directory or a list is missing or cannot be read.
    """
    tree = scan_files(manual_dir, LAYOUT)
    class_names = _class_names(tree)
    labels = {name.lower(): label for label, name in enumerate(class_names)}
    collector = Collector(tree, VIDEO_SUFFIXES, key=lambda path: stem(path).lower())
    for key, (name, splits) in _listed(tree, collector).items():
        folder, clip = name.split("/")
        label = labels.get(folder.lower())
        if label is None:
            collector.find(key)  # its file is not said to be in no list
            collector.skip(clip, f"the class {folder} is not in classInd.txt")
        else:
            collector.take(clip, key, labels=(label,), splits=tuple(splits))
    return collector.listing(class_names)


def _class_names(tree: FileTree) -> list[str]:
    path = tree.annotation("classInd.txt")
    rows = [line.split() for line in tree.read_lines(path)]
    numbers = [row[0] for row in rows]
    if any(len(row) != 2 for row in rows) or numbers != [str(n + 1) for n in range(len(rows))]:
        raise tree.error('The lines are not of the form "1 NAME", numbered from 1.', path)
    return [name for _, name in rows]


def _listed(tree: FileTree, collector: Collector) -> dict[str, tuple[str, list[str]]]:
    """Returns {clip in lower case: ("CLASS/CLIP" as first spelled, its splits)}."""
    listed: dict[str, tuple[str, list[str]]] = {}
    for split in SPLITS:
        path = tree.annotation(f"{split[:-1]}list0{split[-1]}.txt")
        for line in tree.read_lines(path):
            name = line.split()[0]
            folder, _, file = name.partition("/")
            if not (is_plain_name(folder) and is_plain_name(file)):
                collector.skip(name, NO_NAME)
                continue
            clip = stem(file)
            first, splits = listed.setdefault(clip.lower(), (f"{folder}/{clip}", []))
            same = [other for other in splits if other[-1] == split[-1]]
            if same or first.lower() != f"{folder}/{clip}".lower():
                reason = f"{path.name} lists it again; it is {first}, in {', '.join(splits)}"
                collector.skip(clip, reason)
            else:
                splits.append(split)
    return listed
