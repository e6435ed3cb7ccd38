"""Reads the planted truth of a rendered corpus; evaluation and reports use it, training never."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vatt_gh.errors import UserError
from vatt_gh.files import read_utf8

_KEYS = {
    "scenes": ("start", "end", "shape", "colour", "motion", "sound_aligned"),
    "captions": ("text", "start", "end", "scene", "shape", "colour", "motion", "aligned"),
}


class WindowTruth(NamedTuple):
    """The truth about a window.

    Attributes:
        shape, colour, motion: attributes of the scene at the window's centre.
        sound_aligned: whether the sound belongs to that scene.
        caption_aligned: whether the caption nearest in time describes its scene.
    """

    shape: str
    colour: str
    motion: str
    sound_aligned: bool
    caption_aligned: bool


class Truth:
    """The planted truth of a corpus.

    Args:
        path: alignment.jsonl, named in errors.
        videos: its rows by video id.
    """

    def __init__(self, path: Path, videos: dict[str, dict[str, Any]]):
        self._path, self._videos = path, videos

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Reads alignment.jsonl.

        Args:
            path: the file.

        Returns:
            The truth.

        Raises:
            UserError: it is missing, or a line cannot be read.
        """
        videos = {}
        todo = "render the corpus again, or leave --config.eval.truth empty"
        text = read_utf8(
            path,
            "The truth of the corpus cannot be read",
            expected="alignment.jsonl of a rendered corpus",
            todo=todo,
        )
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                row = json.loads(line)
                _check_row(row)
                videos[row["video_id"]] = row
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"A line of the truth cannot be read: {error!r}",
                    where=f"{path}, line {number}",
                    expected='{"video_id", "duration", "scenes", "captions"}',
                    todo=todo,
                ) from error
        return cls(Path(path), videos)

    @property
    def video_ids(self) -> list[str]:
        """All videos, in the file's order."""
        return list(self._videos)

    def window(self, video_id: str, start: float, end: float) -> WindowTruth:
        """Finds the truth about a window.

        Args:
            video_id: the video.
            start, end: limits of the window, in seconds of the video.

        Returns:
            The truth about the scene at the window's centre.

        Raises:
            KeyError: the corpus has no such video.
        """
        centre = (start + end) / 2
        scenes = self.scenes(video_id)
        scene = next((s for s in scenes if centre < s["end"]), scenes[-1])

        def distance(caption: dict[str, Any]) -> tuple[float, float]:
            outside = max(caption["start"] - centre, centre - caption["end"], 0.0)
            return outside, abs((caption["start"] + caption["end"]) / 2 - centre)

        caption = min(self.captions(video_id), key=distance)
        return WindowTruth(
            scene["shape"],
            scene["colour"],
            scene["motion"],
            scene["sound_aligned"],
            caption["shape"] == scene["shape"],
        )

    def scenes(self, video_id: str) -> list[dict[str, Any]]:
        """Lists the scenes of a video.

        Args:
            video_id: the video.

        Returns:
            Its scenes in order, with the keys of alignment.jsonl.

        Raises:
            KeyError: the corpus has no such video.
        """
        return self._row(video_id)["scenes"]

    def captions(self, video_id: str) -> list[dict[str, Any]]:
        """Lists the captions of a video.

        Args:
            video_id: the video.

        Returns:
            Its captions in order of their start, with the keys of alignment.jsonl.

        Raises:
            KeyError: the corpus has no such video.
        """
        return self._row(video_id)["captions"]

    def _row(self, video_id: str) -> dict[str, Any]:
        if video_id not in self._videos:
            raise KeyError(f"{self._path} has no video {video_id!r}")
        return self._videos[video_id]


def _check_row(row: dict[str, Any]) -> None:
    """Raises KeyError or TypeError if a row lacks something needed later."""
    for part, keys in _KEYS.items():
        if not row[part]:
            raise KeyError(f"{part} is empty")
        for entry in row[part]:
            missing = [key for key in keys if key not in entry]
            if missing:
                raise KeyError(f"an entry of {part} lacks {', '.join(missing)}")
