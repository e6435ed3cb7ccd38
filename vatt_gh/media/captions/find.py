"""Finds the caption files of videos, as yt-dlp, Whisper and people name them."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from vatt_gh.media.captions.read import READERS
from vatt_gh.media.file_names import video_id
from vatt_gh.media.file_tree import MEDIA_SUFFIXES, FileTree

# What may stand between a video's name and a caption file's suffix, in any order:
# ".en", ".en-orig", ".zh-Hans", ".pt_BR"; yt-dlp may add an eleven-character track name.
_LANGUAGE = re.compile(
    "[a-z]{2,3}([-_][a-z0-9_-]+)?|arabic|chinese|czech|danish|dutch|english|finnish|french|german|greek|hebrew|"
    "hindi|hungarian|indonesian|italian|japanese|korean|norwegian|persian|polish|"
    "portuguese|romanian|russian|spanish|swedish|thai|turkish|ukrainian|vietnamese",
    re.IGNORECASE,
)
_MARKS = ("forced", "sdh", "hi", "cc", "auto", "asr", "default", "orig")  # "hi" may be Hindi
# Files that yt-dlp writes beside a video and that are not captions.
_OTHER = (".info.json", ".live_chat.json")
# Caption formats that are not supported.
_UNREAD = (".sub", ".idx", ".sup", ".smi", ".sami", ".lrc", ".scc", ".stl", ".mpl", ".usf", ".psb")
# Possibly captions too if named like a video; otherwise they may be anything.
_PERHAPS = (".txt", ".jsonl", ".textgrid", ".eaf", ".trs", ".docx", ".rtf", ".odt", ".parquet")
_AMBIGUOUS = (".csv", ".tsv", ".json", ".xml")  # beside videos most of them are something else


def find_caption_files(
    trees: Mapping[str, FileTree], ids: Collection[str]
) -> tuple[dict[str, Path], list[dict[str, str]]]:
    """Finds one caption file for each video: in captions/**, or beside the videos in videos/**.

    The id comes from the name by the rule of `video_id`, without a language, marks and a media
    suffix after it ("Title [ID].en-orig.vtt", "ID.mp4.English.sdh.srt"), unless a video has that
    name. Of several files of one video the first in this order is taken: full captions before
    "forced" ones, which cover only signs; tables, JSON and XML beside videos last; captions/ before
    videos/; no language, then "en", "en-...", then others by the alphabet; within a language
    human captions before "-orig", which a machine heard; no mark before one for the hard of
    hearing; then in the order of READERS; then by path.

    Args:
        trees: the files of captions/ and of videos/, as far as these folders exist.
        ids: ids of the videos found.

    Returns:
        The file of each video that has one; and rows {"path", "reason"} of all other files. In
        videos/ a csv, tsv, json or xml file without a video is not regarded as a caption file.
    """
    ranked = []
    skipped = []
    for place, folder in enumerate(("captions", "videos")):
        if folder not in trees:
            continue
        unusable = trees[folder].skipped_of(READERS)
        skipped += [row for row in unusable if _is_ours(Path(row["path"]), folder)]
        for path in _files(trees[folder]):
            name, language, marks = _parts(path.stem, ids)
            if name in ids:
                suffix = path.suffix.lower()
                rank = _language_rank(language), len(marks), list(READERS).index(suffix)
                # Beside a video they often hold something else.
                doubtful = folder == "videos" and suffix in _AMBIGUOUS
                ranked.append(("forced" in marks, doubtful, place, *rank, path, name))
            elif _is_ours(path, folder):
                reason = f"has captions of {name}, and there is no such video file"
                skipped.append({"path": str(path), "reason": reason})
        skipped += _unread(trees[folder], folder, ids)
    files: dict[str, Path] = {}
    for *_, path, name in sorted(ranked):
        if files.setdefault(name, path) is not path:
            reason = f"is of the same video {name} as {files[name]}"
            skipped.append({"path": str(path), "reason": reason})
    return files, skipped


def _is_ours(path: Path, folder: str) -> bool:
    """Tells whether a file was meant as captions, regardless of its name."""
    return folder == "captions" or path.suffix.lower() not in _AMBIGUOUS


def _unread(tree: FileTree, folder: str, ids: Collection[str]) -> list[dict[str, str]]:
    """Lists unsupported files: all in captions/, and in videos/ those that are captions."""
    reason = f"is in a form of captions that is not read: {', '.join(READERS)} are"
    paths = (path for path in tree.files if _holds_unread(Path(path), folder, ids))
    return [{"path": path, "reason": reason} for path in paths]


def _holds_unread(path: Path, folder: str, ids: Collection[str]) -> bool:
    suffix = path.suffix.lower()
    if suffix in READERS or suffix in MEDIA_SUFFIXES:
        return False
    if folder == "captions" or suffix in _UNREAD:
        return True
    # "ID.srt.bak", "ID.vtt.gz"
    inner = Path(path.stem).suffix.lower()
    doubtful = suffix in _PERHAPS or (inner in READERS and inner not in _AMBIGUOUS)
    return doubtful and _parts(path.stem.removesuffix(inner), ids)[0] in ids


def _files(tree: FileTree) -> list[Path]:
    found = (path for path in tree.media_files(READERS) if not path.lower().endswith(_OTHER))
    return sorted(map(Path, found))


def _parts(stem: str, ids: Collection[str]) -> tuple[str, str, set[str]]:
    """Returns the video's id, the language ("" if none), and the marks in a file's name."""
    language, marks = "", set()
    while video_id(stem) not in ids:
        rest, _, part = stem.rpartition(".")
        lower = part.lower()
        if not rest:
            break
        if lower in _MARKS:
            marks.add(lower)
        elif f".{lower}" in MEDIA_SUFFIXES:
            pass
        elif _LANGUAGE.fullmatch(part) and not language:
            language = "en" if lower == "english" else part
        else:
            break
        stem = rest
    if "hi" in marks and not language:  # Hindi, unless a language shows that it is a mark
        language = "hi"
        marks.remove("hi")
    return video_id(stem), language, marks


def _language_rank(language: str) -> tuple[bool, bool, str, bool, str]:
    main = re.split("[-_]", language.lower())[0]
    return main != "", main != "en", main, language.lower().endswith("-orig"), language
