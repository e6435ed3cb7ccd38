"""How a video is stored, what a stored segment holds, and why a file cannot be used."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict


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
    """How a video is stored. Fields without a help text are configuration keys, data.build_*.

    The defaults, of the keys too, stand here: records that lack a setting were built with its
    default.
    """

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
    """Returns the form in which a configuration stores videos.

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
        has_audio: whether there is sound. An audio-only file has height and width 0, and no
            pictures.
        stored: {feature: value}, its pictures and sound as the form's storage keeps them, see
            vatt_gh.media.storages.
    """

    index: int
    start: float
    end: float
    count: int
    height: int
    width: int
    has_audio: bool
    stored: Mapping[str, Any]

    def without_sound(self) -> "Segment":
        """Returns the same pictures alone."""
        stored = {name: v[:0] if name == "audio" else v for name, v in self.stored.items()}
        return dataclasses.replace(self, has_audio=False, stored=stored)

    def values(self, name: str) -> Iterator[bytes | np.ndarray]:
        """Yields the values of a stored feature, as its record has them."""
        stored = self.stored[name]
        yield from stored if isinstance(stored, list) else [stored]

    def nbytes(self) -> int:
        """Counts the bytes of its pictures and sound."""
        return sum(memoryview(v).nbytes for name in self.stored for v in self.values(name))
