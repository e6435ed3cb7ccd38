"""Cuts the frames and the sound of a file into segments."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from vatt_gh.media.form import Form, Segment, Span
from vatt_gh.media.sound import Chunk, place
from vatt_gh.media.storages import STORAGES

MAX_SOUND_DELAY = 10.0  # s of video to wait for a segment's sound


@dataclasses.dataclass
class _PendingFrames:
    """Consecutive frames that are in no segment yet; `first` is the number of the first one."""

    first: int
    frames: list[Any] = dataclasses.field(default_factory=list)

    def next(self) -> int:
        return self.first + len(self.frames)


class Cutter:
    """Collects frames and sound and cuts them into segments.

    Args:
        form: how videos are stored.
        has_video: whether there are pictures; if not, frames only count the time.
        has_audio: whether there is sound.
        span: the wanted part.

    Attributes:
        first: number of the first wanted frame.
        size: height and width of the frames, once they are known.
    """

    def __init__(self, form: Form, span: Span, *, has_video: bool, has_audio: bool):
        self.first = round(span.start * form.fps)
        self.size: tuple[int, int] | None = None
        # The number of the first frame after the wanted ones.
        end = span.end
        self._last = None if end is None else max(self.first + 1, round(end * form.fps))
        self._form, self._has_video, self._has_audio = form, has_video, has_audio
        self._per_segment = max(1, round(form.segment_seconds * form.fps))
        self._index = 0
        self._runs = [_PendingFrames(self.first)]
        self._chunks: list[Chunk] = []
        self._sound_end = 0
        self._taken = 0

    def add_sound(self, chunks: list[Chunk]) -> None:
        """Adds samples at their positions."""
        for first, samples in chunks:
            self._chunks.append((first, samples))
            self._sound_end = first + len(samples)
            self._taken += len(samples)

    def add_frames(self, frames: Iterator[Any]) -> None:
        """Adds frames up to the last wanted one."""
        run = self._runs[-1]
        left = None if self._last is None else max(0, self._last - run.next())
        run.frames.extend(itertools.islice(frames, left))

    def restart(self, first: int) -> None:
        """Ends a segment at a gap; the next frame has the number `first`."""
        if self._runs[-1].frames:
            self._runs.append(_PendingFrames(first))
        else:
            self._runs[-1].first = first

    def satisfied(self, time: float | None) -> bool:
        """Tells whether all wanted frames and their sound have arrived."""
        if self._last is None or self._runs[-1].next() < self._last:
            return False
        end = self._last / self._form.fps
        heard = not self._has_audio or self._sound_end >= self._sample(self._last)
        return heard or (time is not None and time > end + MAX_SOUND_DELAY)

    def any_frames(self) -> bool:
        """Tells whether the video has any frame."""
        return self._index > 0 or bool(self._runs[0].frames)

    def seconds(self) -> float:
        """Returns the end of the video so far, in seconds."""
        return self._runs[-1].next() / self._form.fps

    def sound_seconds(self) -> float:
        """Returns the end of the sound so far, in seconds."""
        return self._sound_end / self._form.audio_rate

    def sound_taken(self) -> float:
        """Returns the amount of sound so far, in seconds."""
        return self._taken / self._form.audio_rate

    def complete(self) -> Iterator[Segment]:
        """Yields the segments that are complete."""
        while count := self._whole():
            run = self._runs[0]
            end = self._sample(run.first + count)
            waited = (sum(len(r.frames) for r in self._runs) - count) / self._form.fps
            # Sound may lag behind pictures in a file, or end before them.
            if self._has_audio and self._sound_end < end and waited < MAX_SOUND_DELAY:
                return
            yield self._cut(count)

    def rest(self) -> Iterator[Segment]:
        """Yields the remaining segments."""
        self._runs.append(_PendingFrames(self._runs[-1].next()))
        while count := self._whole():
            yield self._cut(count)

    def _whole(self) -> int:
        """Counts the frames in the next segment; 0: not known yet."""
        run = self._runs[0]
        left = len(run.frames) - self._per_segment
        # Wait for one more second of video: a shorter remainder joins this segment.
        if left >= max(self._form.fps, 1):
            return self._per_segment
        return len(run.frames) if len(self._runs) > 1 else 0

    def _sample(self, frame: int) -> int:
        return round(frame / self._form.fps * self._form.audio_rate)

    def _cut(self, count: int) -> Segment:
        run = self._runs[0]
        frames, run.frames = run.frames[:count], run.frames[count:]
        first, last = run.first, run.first + count
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
            stored=STORAGES[self._form.storage].packed(
                frames if self._has_video else [], audio, self._form
            ),
        )
        self._index, run.first = self._index + 1, last
        if not run.frames and len(self._runs) > 1:
            self._runs.pop(0)
        return segment

    def _take_sound(self, start: int, end: int) -> np.ndarray | None:
        if not self._has_audio or not self._sound_end:
            return None
        audio = place(self._chunks, start, end)  # gaps and a missing end are silence
        self._chunks = [(p, s) for p, s in self._chunks if p + len(s) > end]
        return audio
