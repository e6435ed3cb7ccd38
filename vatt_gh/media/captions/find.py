"""Finds the caption files of videos, as yt-dlp, Whisper and people name them."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from vatt_gh.media.captions.read import READERS
from vatt_gh.media.files import Tree, media_files
from vatt_gh.media.names import video_id

# ".en", ".en-orig", ".zh-Hans", ".pt_BR"; yt-dlp may add eleven characters that name a track.
_LANGUAGE = re.compile(r"\.([a-z]{2,3}(?:[-_][A-Za-z0-9_-]+)?)$")
# What yt-dlp writes beside a video, and no caption.
_OTHER = (".info.json", ".live_chat.json")


def find_caption_files(
    trees: Mapping[str, Tree], ids: Collection[str]
) -> tuple[dict[str, Path], list[dict[str, str]]]:
    """Finds one caption file for each video: in captions/**, or beside the videos in videos/**.

    The id comes from the name by the rule of `video_id`, without a language at its end
    ("Title [ID].en-orig.vtt") unless a video has that name. Of several files of one video the
    first is taken: in captions/ before videos/; without a language, then "en", "en-...", others
    by the alphabet, and of each what somebody wrote before "-orig", which a machine heard; then
    csv, json3, vtt, srt, json; then by path.

    Args:
        trees: the files of captions/ and of videos/, of those folders that are there.
        ids: of the videos that are there.

    Returns:
        The file of each video that has one; and rows {"path", "reason"} of all other files. In
        videos/ a csv or json file that belongs to no video is no caption file.
    """
    ranked = []
    skipped = []
    for place, folder in enumerate(("captions", "videos")):
        if folder not in trees:
            continue
        unusable = trees[folder].skipped_of(READERS)
        skipped += [row for row in unusable if _is_ours(Path(row["path"]), folder)]
        for path in _files(trees[folder]):
            name, language = _id_and_language(path.stem, ids)
            if name in ids:
                ranked.append((place, _language_rank(language), _form_rank(path), path, name))
            elif _is_ours(path, folder):
                reason = f"has captions of {name}, and there is no such video file"
                skipped.append({"path": str(path), "reason": reason})
    files: dict[str, Path] = {}
    for *_, path, name in sorted(ranked):
        if files.setdefault(name, path) is not path:
            reason = f"is of the same video {name} as {files[name]}"
            skipped.append({"path": str(path), "reason": reason})
    return files, skipped


def _is_ours(path: Path, folder: str) -> bool:
    """Whether a file was meant as captions, whatever its name says."""
    return folder == "captions" or path.suffix.lower() not in (".csv", ".json")


def _files(tree: Tree) -> list[Path]:
    found = (path for path in media_files(tree, READERS) if not path.lower().endswith(_OTHER))
    return sorted(map(Path, found))


def _id_and_language(stem: str, ids: Collection[str]) -> tuple[str, str]:
    match = _LANGUAGE.search(stem)
    if match is None or video_id(stem) in ids:
        return video_id(stem), ""
    return video_id(stem[: match.start()]), match.group(1)


def _language_rank(language: str) -> tuple[bool, bool, str, bool, str]:
    main = re.split("[-_]", language)[0]
    return main != "", main != "en", main, language.endswith("-orig"), language


def _form_rank(path: Path) -> int:
    return list(READERS).index(path.suffix.lower())
