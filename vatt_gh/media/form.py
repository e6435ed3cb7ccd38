"""How a video is stored, what a stored segment holds, and why a file cannot be used."""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

STORAGES = ("jpeg", "mp4", "index")


class MediaError(Exception):
    """A file that cannot be decoded to its end.

    Args:
        path: the file.
        reason: one sentence, for the list of what was left out.
    """

    def __init__(self, path: Path | str, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(f"{path}: {reason}")

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.reason)  # it is passed between processes


def _setting(default: float | int | str, explanation: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": explanation})


@dataclasses.dataclass(frozen=True)
class Form:
    """How a video is stored. Fields without a help text are configuration keys, data.build_*."""

    fps: float = 10.0
    short_side: int = 256
    audio_rate: int = 48_000
    segment_seconds: float = 30.0
    jpeg_quality: int = _setting(90, "1 to 95; for storage=jpeg")
    storage: str = "jpeg"
    longest_gap: float = _setting(
        10.0, "seconds without a picture (for sound alone: without sound) that end a segment"
    )
    damaged_share: float = _setting(0.01, "share of a stream's packets that may be damaged")


def form_of(data: ConfigDict) -> Form:
    """The form in which a configuration stores videos.

    Args:
        data: section `data` of the configuration.

    Returns:
        The form, from the keys `build_*`.
    """
    return Form(
        fps=data.build_fps,
        short_side=data.build_short_side,
        audio_rate=data.build_audio_rate,
        segment_seconds=data.build_segment_seconds,
        storage=data.build_storage,
    )


class Span(NamedTuple):
    """A stretch of a file, in seconds from its beginning; end None: up to the file's end."""

    start: float = 0.0
    end: float | None = None

    @property
    def until(self) -> float:
        """Its end, in seconds; infinity where that is the file's."""
        return math.inf if self.end is None else self.end


WHOLE = Span()


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a video.

    Attributes:
        index: number of the segment, from 0.
        start, end: seconds in the source video.
        count: number of frames; frame k shows what is on screen at start + k / fps.
        height, width: size of a frame, in pixels.
        has_audio: whether there is sound. An audio-only file has height and width 0, and empty
            `frames` and `video`.
        frames: `count` JPEG images; only with storage 'jpeg', like `audio`.
        audio: [n] int16 mono at the form's rate, sample 0 at `start`; None: no sound.
        video: an mp4 file of `count` frames; only with storage 'mp4', like `flac`.
        flac: the sound as vatt_gh.media.sound.to_flac writes it; empty: no sound.
    """

    index: int
    start: float
    end: float
    count: int
    height: int
    width: int
    has_audio: bool
    frames: list[bytes] = dataclasses.field(default_factory=list)
    audio: np.ndarray | None = None
    video: bytes = b""
    flac: bytes = b""
