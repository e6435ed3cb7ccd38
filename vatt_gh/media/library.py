"""Finds videos and captions in a directory, as users have them."""

import dataclasses
import re
import zlib
from pathlib import Path

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption, load_howto100m

SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v")
CAPTION_FILES = ("caption.json", "raw_caption.json", "raw_caption_superclean.json")
LAYOUT = """
    MANUAL_DIR/
      videos/**/ID.mp4      (also webm, mkv, avi, mov, m4v; "Title [ID].mp4", "Title-ID.mp4")
      caption.json          {"ID": {"text": [...], "start": [...], "end": [...]}, ...}, optional"""

_ID = r"[A-Za-z0-9_-]{11}"


@dataclasses.dataclass(frozen=True)
class Library:
    """What a directory holds.

    Attributes:
        folder: the directory.
        videos: (id, path), in order of the id.
        captions: of the videos that are there; a video may have none.
        skipped: rows {"id" or "path", "reason"} of what cannot be used.
    """

    folder: Path
    videos: list[tuple[str, Path]]
    captions: dict[str, list[Caption]]
    skipped: list[dict[str, str]]

    def part(self, number: int, parts: int) -> "Library":
        """One of several parts, from 1; a video's part depends on its id alone."""
        videos = [v for v in self.videos if zlib.crc32(v[0].encode()) % parts == number - 1]
        return dataclasses.replace(self, videos=videos, skipped=[])


def scan(manual_dir: Path) -> Library:
    """Finds all videos and their captions; nothing is decoded.

    Args:
        manual_dir: see LAYOUT.

    Returns:
        The library. Of several files with one id the first by path is kept.

    Raises:
        UserError: the directory is missing or holds no video, or its captions are not JSON.
    """
    manual_dir = Path(manual_dir)
    folder = manual_dir / "videos"
    found = folder.rglob("*") if folder.is_dir() else []
    paths = sorted(p for p in found if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        missing = "is missing" if not manual_dir.is_dir() else "holds no video"
        raise UserError(
            f"The directory with the videos {missing}.",
            where=manual_dir,
            expected=f"this layout:{LAYOUT}",
            todo="give --manual_dir=DIR (--config.data.manual_dir=DIR) with this layout",
        )
    videos: dict[str, Path] = {}
    skipped = []
    for path in paths:
        name = video_id(path.stem)
        if not _is_utf8(path.name):
            skipped.append({"path": str(path), "reason": "has a name that is not UTF-8"})
        elif name in videos:
            reason = f"has the same id {name} as {videos[name]}"
            skipped.append({"path": str(path), "reason": reason})
        else:
            videos[name] = path
    captions: dict[str, list[Caption]] = {}
    for file in CAPTION_FILES:
        if (manual_dir / file).exists():
            captions, broken = load_howto100m(manual_dir / file)
            skipped += broken
            break
    for name in sorted(captions.keys() - videos.keys()):
        skipped.append({"id": name, "reason": "has captions but no video file"})
    kept = {name: captions[name] for name in videos if name in captions}
    return Library(manual_dir, sorted(videos.items()), kept, skipped)


def _is_utf8(name: str) -> bool:
    # Python keeps bytes of file names that are not UTF-8 as characters that UTF-8 does not have.
    return not any("\udc80" <= character <= "\udcff" for character in name)


def video_id(stem: str) -> str:
    """The id in a file's name: an 11-character stem, "[ID]" or "-ID" at its end, else the stem."""
    for pattern in (rf"({_ID})$", rf".*\[({_ID})\]$", rf".*-({_ID})$"):
        match = re.match(pattern, stem)
        if match:
            return match.group(1)
    return stem
