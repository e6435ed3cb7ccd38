"""Finds a user's videos and captions in a directory."""

import atexit
import bisect
import dataclasses
import os
import re
import shutil
import tempfile
import zlib
from pathlib import Path

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption, CaptionIndex, VideoCaptions, find_caption_files
from vatt_gh.media.file_names import video_id, without_mark
from vatt_gh.media.file_tree import AUDIO_SUFFIXES, VIDEO_SUFFIXES, FileTree, scan_files
from vatt_gh.media.form import WHOLE, Span
from vatt_gh.media.listing import LISTING, Listed, read_listing
from vatt_gh.media.probe import usable

CAPTION_FILES = ("caption.json", "raw_caption.json", "raw_caption_superclean.json")
LAYOUT = """
    MANUAL_DIR/
      videos/**/ID.mp4      (also webm, mkv, avi, mov, ...; "Title [ID].mp4", "Title-ID.mp4")
      captions/**/ID.vtt    (also srt, csv, tsv, json, json3, srv1 to srv3, ttml, sbv, ass;
                            "ID.en.vtt"; or beside the video), optional
      caption.json          {"ID": {"text": [...], "start": [...], "end": [...]}, ...}, optional
      videos.csv            in place of all names: path,video_id and, if wanted, caption_path,
                            start,end,text,label"""

NAMES = "names"


@dataclasses.dataclass(frozen=True)
class Library:
    """The contents of a directory.

    Attributes:
        folder: the directory.
        videos: (id, path), sorted by id.
        captions: the videos' captions, read on demand; a video may have none. A caption that lasts
            to the end of its video ends at infinity.
        skipped: rows {"id" or "path", "reason"} of what cannot be used, as far as names and the
            joint caption file show; `said_in` gives the rest.
        spans: the span of each video that is only part of its file.
        labels: class names of the videos that have any.
        splits: the split of each video that is not in "train".
        class_names: all class names, in order of their numbers, if there are any.
        found_by: source of the videos' ids: file names, or a list.
    """

    folder: Path
    videos: list[tuple[str, Path]]
    captions: VideoCaptions
    skipped: list[dict[str, str]]
    spans: dict[str, Span] = dataclasses.field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    splits: dict[str, str] = dataclasses.field(default_factory=dict)
    class_names: list[str] = dataclasses.field(default_factory=list)
    found_by: str = NAMES

    def path(self, video: str) -> Path:
        """Returns the file of a video."""
        return self.videos[bisect.bisect_left(self.videos, (video,))][1]

    def below(self, video: str) -> str:
        """Returns the path of a video's file, relative to the directory."""
        return self.path(video).relative_to(self.folder).as_posix()

    def said_in(self, video: str, length: float) -> tuple[list[Caption], list[dict[str, str]]]:
        """Reads the captions of a video, and rows {"id", "reason"} of those left out.

        Args:
            video: an id; it may have no captions.
            length: length of the video, in seconds.

        Returns:
            See VideoCaptions.of. For a stretch of a file the length is not checked: captions
            outside it are in no record, and are no error.
        """
        return self.captions.of(video, None if video in self.spans else length)

    def split_into(self, parts: int) -> list["Library"]:
        """Splits the library into parts; a video's part depends on its id alone.

        A part holds only its own videos, so that its pickle is small.
        """
        videos: list[list[tuple[str, Path]]] = [[] for _ in range(parts)]
        for video, path in self.videos:
            videos[zlib.crc32(video.encode()) % parts].append((video, path))
        return [self.only(some) for some in videos]

    def only(self, videos: list[tuple[str, Path]]) -> "Library":
        """Returns the library with only some of the videos; nothing of it is skipped."""
        ids = [video for video, _ in videos]
        return dataclasses.replace(
            self,
            videos=videos,
            captions=self.captions.only(ids),
            skipped=[],
            spans={video: self.spans[video] for video in ids if video in self.spans},
            labels={video: self.labels[video] for video in ids if video in self.labels},
            splits={video: self.splits[video] for video in ids if video in self.splits},
        )


def scan(manual_dir: Path, index_dir: Path | None = None) -> Library:
    """Finds all videos and their captions; only files with the same id are opened.

    If there is a videos.csv, the videos are those that it lists, see `read_listing`. Links to
    files and folders are followed, each folder once.

    A video's own caption file overrides caption.json, see VideoCaptions; find_caption_files
    chooses among several. The first that exists of caption.json, raw_caption.json and
    raw_caption_superclean.json is used.

    Args:
        manual_dir: see LAYOUT.
        index_dir: folder for the index of caption.json, which is as large as that file; None:
            a temporary directory, removed when this process ends.

    Returns:
        The library. Of several files with one id, the first decodable one by path is kept.

    Raises:
        UserError: the directory is missing or holds no video, or its captions are not JSON;
            the index cannot be written.
    """
    manual_dir = Path(os.path.abspath(manual_dir))
    folders = (name for name in ("captions", "videos") if (manual_dir / name).is_dir())
    trees = {name: scan_files(manual_dir / name, LAYOUT) for name in folders}
    listed = (manual_dir / LISTING).is_file()
    if listed:
        rows, skipped = read_listing(manual_dir)
    else:
        rows, skipped = _named(trees.get("videos"))
    if not rows:
        missing = "is missing" if not manual_dir.is_dir() else "holds no video"
        first = [row.get("path", row.get("id", "")) + ": " + row["reason"] for row in skipped[:1]]
        raise UserError(
            f"The directory with the videos {missing}.",
            where=manual_dir,
            expected=f"this layout:{LAYOUT}",
            todo="give --manual_dir=DIR (--config.data.manual_dir=DIR) with this layout"
            + "".join(f"; the first of {len(skipped)} that cannot be used: {x}" for x in first),
        )
    return Library(
        folder=manual_dir,
        videos=sorted((row.id, row.path) for row in rows),
        captions=_captions(manual_dir, trees, index_dir, rows, skipped),
        skipped=skipped,
        spans={row.id: row.span for row in rows if row.span != WHOLE},
        labels={row.id: row.labels for row in rows if row.labels},
        found_by=LISTING if listed else NAMES,
    )


def _named(tree: FileTree | None) -> tuple[list[Listed], list[dict[str, str]]]:
    """Finds all files below videos/, if it exists, with the ids in their names."""
    if tree is None:
        return [], []
    skipped = tree.skipped_of(VIDEO_SUFFIXES) + _unfinished(tree)
    reason = "is sound alone, and this set is of videos"
    skipped += [{"path": p, "reason": reason} for p in tree.media_files(AUDIO_SUFFIXES)]
    groups: dict[str, list[tuple[bool, str]]] = {}
    for path in tree.media_files(VIDEO_SUFFIXES):
        name, marked = without_mark(Path(path).stem)
        groups.setdefault(video_id(name), []).append((marked, path))
    rows = []
    for name, files in groups.items():
        whole = sorted(path for marked, path in files if not marked)
        parts = sorted(path for marked, path in files if marked)
        path, others = usable(whole or parts)
        skipped += others
        if whole:
            reason = f"is a left-over of yt-dlp; {path} has the same id"
            skipped += [{"path": part, "reason": reason} for part in parts]
        else:
            reason = "was not merged with its other part, or not finished, by yt-dlp"
            skipped.append({"path": str(path), "id": name, "reason": reason})
        rows.append(Listed(name, path, None, WHOLE, [], ()))
    return rows, skipped


def _unfinished(tree: FileTree) -> list[dict[str, str]]:
    """Lists unfinished downloads."""
    reason = "is a download that was not finished"
    paths = (p for p in tree.files if re.search(r"\.(part|ytdl|part-Frag\d+(\.part)?)$", p))
    return [{"path": path, "reason": reason} for path in paths]


def _captions(
    manual_dir: Path,
    trees: dict[str, FileTree],
    index_dir: Path | None,
    rows: list[Listed],
    skipped: list[dict[str, str]],
) -> VideoCaptions:
    """Finds the captions of videos; adds those that cannot be used to `skipped`."""
    names = {row.id for row in rows}
    files, unused = find_caption_files(trees, names)
    skipped += unused
    files |= {row.id: row.caption_path for row in rows if row.caption_path is not None}
    given = {row.id: row.captions for row in rows if row.captions}
    index, indexed = _open_index(manual_dir, index_dir), set()
    if index is not None:
        skipped += index.skipped()
        for name in index.ids():
            if name in names:
                indexed.add(name)
            else:
                skipped.append({"id": name, "reason": "has captions but no video file"})
    return VideoCaptions(files, index, indexed, given)


def _open_index(manual_dir: Path, index_dir: Path | None) -> CaptionIndex | None:
    for file in CAPTION_FILES:
        if (manual_dir / file).exists():
            folder = index_dir or _passing_dir()
            return CaptionIndex.open(manual_dir / file, folder / f"{file}.sqlite")
    return None


def _passing_dir() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="vatt_gh-captions-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
