"""Cuts the frames and the sound of a file into segments."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vatt_gh.media.form import Form, Segment
from vatt_gh.media.sound import Chunk, place

PATIENCE = 10.0  # s of video that a segment waits for its sound


class Cutter:
    """Collects frames and sound and cuts them into segments."""

    def __init__(self, form: Form, pack: Callable, has_audio: bool, first: int, last: int | None):
        self._form, self._pack = form, pack
        self._per_segment = max(1, round(form.segment_seconds * form.fps))
        self._has_audio = has_audio
        self._index = 0
        self._first = first  # number of the first frame that is not in a segment yet
        self._last = last  # number of the first frame that is not wanted
        self._chunks: list[Chunk] = []
        self._sound_end = 0
        self._frames: list[Any] = []
        self.size: tuple[int, int] | None = None

    def add_sound(self, chunks: list[Chunk]) -> None:
        """Takes samples with their places."""
        for first, samples in chunks:
            self._chunks.append((first, samples))
            self._sound_end = first + len(samples)

    def add_frames(self, frames: Iterator[Any]) -> None:
        """Takes frames as far as they are wanted."""
        left = None if self._last is None else self._last - self._first - len(self._frames)
        self._frames.extend(itertools.islice(frames, left))

    def satisfied(self, time: float | None) -> bool:
        """Whether all frames that are wanted are there, and their sound."""
        if self._last is None or self._first + len(self._frames) < self._last:
            return False
        end = self._last / self._form.fps
        heard = not self._has_audio or self._sound_end >= self._sample(self._last)
        return heard or (time is not None and time > end + PATIENCE)

    def any_frames(self) -> bool:
        """Whether the video has any frame."""
        return self._index > 0 or bool(self._frames)

    def seconds(self) -> float:
        """Where the video ends so far."""
        return (self._first + len(self._frames)) / self._form.fps

    def sound_seconds(self) -> float:
        """Where the sound ends so far."""
        return self._sound_end / self._form.audio_rate

    def complete(self) -> Iterator[Segment]:
        """Segments that nothing can be added to any more."""
        # A full segment waits for a second more of video: a shorter rest would belong to it.
        while len(self._frames) >= self._per_segment + max(self._form.fps, 1):
            end = self._sample(self._first + self._per_segment)
            waited = (len(self._frames) - self._per_segment) / self._form.fps
            # Sound may lag behind pictures in a file, or end before them.
            if self._has_audio and self._sound_end < end and waited < PATIENCE:
                return
            yield self._cut(self._per_segment)

    def rest(self) -> Iterator[Segment]:
        """Everything left."""
        while self._frames:
            left = len(self._frames) - self._per_segment
            yield self._cut(self._per_segment if left >= self._form.fps else len(self._frames))

    def _sample(self, frame: int) -> int:
        return round(frame / self._form.fps * self._form.audio_rate)

    def _cut(self, count: int) -> Segment:
        frames, self._frames = self._frames[:count], self._frames[count:]
        first, last = self._first, self._first + count
        height, width = self.size or (0, 0)
        audio = self._take_sound(self._sample(first), self._sample(last))
        segment = Segment(
            index=self._index,
            start=first / self._form.fps,
            end=last / self._form.fps,
            count=count,
            height=height,
            width=width,
            has_audio=audio is not None,
            **self._pack(frames, audio),
        )
        self._index, self._first = self._index + 1, last
        return segment

    def _take_sound(self, start: int, end: int) -> np.ndarray | None:
        if not self._has_audio or not self._sound_end:
            return None
        audio = place(self._chunks, start, end)  # gaps and a missing end are silence
        self._chunks = [(p, s) for p, s in self._chunks if p + len(s) > end]
        return audio
