"""YouTube-8M videos: a folder of videos with captions, and labels from its records."""

import dataclasses
from pathlib import Path

from vatt_gh.media.library import Library, scan
from vatt_gh.media.youtube8m import FOLDER, read_labels


def scan_labelled(manual_dir: Path, index_dir: Path | None = None) -> Library:
    """Finds all videos, their captions and their labels.

    Args:
        manual_dir: laid out as vatt_gh.media.library.LAYOUT and vatt_gh.media.youtube8m.LAYOUT.
        index_dir: see vatt_gh.media.library.scan.

    Returns:
        The library. Labels in videos.csv override those of the records. Without records there
        are no labels, and `skipped` says so.

    Raises:
        UserError: there is no video, or the records lack a vocabulary or ids.
    """
    library = scan(manual_dir, index_dir)
    folder = Path(manual_dir) / FOLDER
    if not folder.is_dir():
        row = {"path": str(folder), "reason": "is missing, so that no video has its labels"}
        return dataclasses.replace(library, skipped=[*library.skipped, row])
    labels = read_labels(manual_dir, {video for video, _ in library.videos})
    names = {
        video: tuple(labels.class_names[label] for label in indices)
        for video, indices in labels.by_video.items()
        if indices
    }
    return dataclasses.replace(
        library,
        labels=names | library.labels,
        class_names=labels.class_names,
        skipped=library.skipped + labels.skipped,
    )
