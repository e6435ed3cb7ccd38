"""MSR-VTT: 10,000 clips with 20 captions each, in its own split and in JSFusion's (1k-A)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vatt_gh.media.downstream.clips import Collector, Listing
from vatt_gh.media.file_tree import VIDEO_SUFFIXES, FileTree, scan_files

LAYOUT = """
    MANUAL_DIR/
      videos/video0.mp4 ...         in any depth
      MSRVTT_data.json              or train_val_videodatainfo.json and test_videodatainfo.json:
                                    {"videos": [{"video_id", "split", ...}],
                                     "sentences": [{"video_id", "caption", ...}]}
      MSRVTT_JSFUSION_test.csv      key,vid_key,video_id,sentence; for 1k-A"""
SPLITS = ("train", "validate", "test")
CaptionedVideo = tuple[str, tuple[str, ...], str]  # id, captions, split
_WHOLE_FILE = "MSRVTT_data.json"
_PART_FILES = ("train_val_videodatainfo.json", "test_videodatainfo.json")


def list_clips(manual_dir: Path, split: Literal["1k-A", "full"] = "1k-A") -> Listing:
    """Lists the clips of MSR-VTT.

    The times in the JSON files refer to the YouTube videos; the clips are already cut.

    Args:
        manual_dir: see LAYOUT.
        split: "full": train, validate, test as in the JSON files, all captions. "1k-A": test has
            the clips of MSRVTT_JSFUSION_test.csv with their one sentence from there, train all
            others with all captions; without JSON files there is only test.

    Returns:
        Its clips, without classes.

    Raises:
        UserError: the directory or an annotation file is missing or cannot be read.
    """
    tree = scan_files(manual_dir, LAYOUT)
    collector = Collector(tree, VIDEO_SUFFIXES)
    rows = (_one_k_a if split == "1k-A" else _full)(tree, collector.skipped)
    for video, captions, part in rows:
        if collector.accepts(video, part):
            collector.take(video, video, captions=captions, splits=(part,))
    return collector.listing()


def _one_k_a(tree: FileTree, skipped: list[dict[str, str]]) -> Iterator[CaptionedVideo]:
    table = tree.annotation("MSRVTT_JSFUSION_test.csv")
    tested = set()
    for row in tree.read_table(table, ("video_id", "sentence")):
        tested.add(row["video_id"])
        yield row["video_id"], (row["sentence"],), "test"
    if not _found(tree, []):
        # Zero-shot retrieval needs only the test clips.
        reason = f"is missing: without it the training clips of {table.name} are unknown"
        skipped.append({"path": str(tree.root / _WHOLE_FILE), "reason": reason})
        return
    for video, captions, _ in _full(tree, skipped):
        if video not in tested:
            yield video, captions, "train"


def _full(tree: FileTree, skipped: list[dict[str, str]]) -> Iterator[CaptionedVideo]:
    paths = _found(tree, skipped)
    if not paths:
        what = f"The annotation files {_WHOLE_FILE}, or {' or '.join(_PART_FILES)}, are missing."
        raise tree.error(what)
    for path in paths:
        content = tree.read_json(path)
        try:
            captions: dict[str, list[str]] = {}
            for row in content["sentences"]:
                captions.setdefault(str(row["video_id"]), []).append(str(row["caption"]))
            videos = [(str(row["video_id"]), row.get("split")) for row in content["videos"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise tree.error(f"The annotation file has another form: {error!r}", path) from error
        for video, part in videos:
            if part in SPLITS:
                yield video, tuple(captions.get(video, ())), part
            else:
                skipped.append({"id": video, "reason": f"is in no split: {part!r}"})


def _found(tree: FileTree, skipped: list[dict[str, str]]) -> list[Path]:
    """Finds the one JSON file with everything, else the parts that exist."""
    whole = tree.optional_annotation(_WHOLE_FILE)
    if whole is not None:
        return [whole]
    parts = {name: tree.optional_annotation(name) for name in _PART_FILES}
    found = [path for path in parts.values() if path is not None]
    if found:
        reason = "is missing: its splits are left out"
        lost = [name for name, path in parts.items() if path is None]
        skipped += [{"path": str(tree.root / name), "reason": reason} for name in lost]
    return found
