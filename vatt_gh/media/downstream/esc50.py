"""ESC-50: five folds of sounds in 50 classes."""

from pathlib import Path

from vatt_gh.media.downstream.clips import Collector, Listing
from vatt_gh.media.file_tree import AUDIO_SUFFIXES, NO_NAME, is_plain_name, scan_files, stem

LAYOUT = """
    MANUAL_DIR/
      ESC-50-master/audio/1-100032-A-0.wav   in any depth; other suffixes than .wav are accepted
      ESC-50-master/meta/esc50.csv           filename,fold,target,category,esc10,src_file,take"""
SPLITS = ("fold1", "fold2", "fold3", "fold4", "fold5")
_COLUMNS = ("filename", "fold", "target", "category")


def list_clips(manual_dir: Path) -> Listing:
    """Lists the sounds of ESC-50.

    Args:
        manual_dir: see LAYOUT.

    Returns:
        Its clips, with the splits fold1 to fold5; classes are numbered as in the csv file.

    Raises:
        UserError: the directory or esc50.csv is missing or cannot be read, or esc50.csv gives one
            target two categories.
    """
    tree = scan_files(manual_dir, LAYOUT)
    table = tree.annotation("esc50.csv")
    collector = Collector(tree, AUDIO_SUFFIXES)
    categories: dict[int, str] = {}
    for row in tree.read_table(table, _COLUMNS):
        file, fold, target = row["filename"], row["fold"], row["target"]
        clip = stem(file)
        if not is_plain_name(file):
            collector.skip(file, NO_NAME)
            continue
        if not (target.isdecimal() and f"fold{fold}" in SPLITS):
            collector.skip(
                clip, f"has fold {fold} and target {target}: expected 1 to 5 and a number"
            )
            continue
        if categories.setdefault(int(target), row["category"]) != row["category"]:
            raise tree.error(f"The target {target} has two categories.", table)
        if collector.accepts(clip):
            collector.take(clip, clip, labels=(int(target),), splits=(f"fold{fold}",))
    if sorted(categories) != list(range(len(categories))):
        raise tree.error("The targets are not numbered from 0 without gaps.", table)
    return collector.listing([categories[target] for target in sorted(categories)])
