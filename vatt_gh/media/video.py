"""Decodes any video file to segments: JPEG frames at a constant rate, and the sound with them."""

import dataclasses
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

_TINY = 1e-4  # s; time stamps are rounded to their time base
_PATIENCE = 10.0  # s of video that a segment waits for its sound
_GAP = 0.1  # s without sound that are kept; less is an inaccurate time stamp

# Pillow turns counterclockwise, as the angle of a frame does.
_ROTATE = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180}
_ROTATE[270] = Image.Transpose.ROTATE_270


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
        return MediaError, (self.path, self.reason)  # it crosses process borders


def _setting(default: float | int, explanation: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": explanation})


@dataclasses.dataclass(frozen=True)
class Form:
    """How a video is stored."""

    fps: float = _setting(10.0, "frames a second")
    short_side: int = _setting(256, "pixels of the shorter side of a frame")
    audio_rate: int = _setting(48_000, "sound samples a second")
    segment_seconds: float = _setting(30.0, "length of a record")
    jpeg_quality: int = _setting(90, "1 to 95")


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a video.

    Attributes:
        index: from 0.
        start, end: seconds in the source video.
        frames: JPEG bytes; frame k shows what is on screen at start + k / fps.
        audio: [n] int16 mono at the form's rate, sample 0 at `start`; None: no sound.
    """

    index: int
    start: float
    end: float
    frames: list[bytes]
    audio: np.ndarray | None


def read_segments(path: Path | str, form: Form) -> Iterator[Segment]:
    """Decodes a file once, one segment in memory at a time.

    Variable frame rates become constant: frame k is the last source frame shown at its time.
    Frames are upright, of square pixels, RGB. A rest of less than a second at the end belongs to
    the segment before it.

    Args:
        path: of a file with a video stream.
        form: how to store it.

    Yields:
        Segments in order.

    Raises:
        MediaError: the file is empty, truncated, no media, or has no video stream.
    """
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise MediaError(path, "has no video stream")
            yield from _segments(container, form, Path(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, f"cannot be decoded: {error}") from error


def _segments(container: av.container.InputContainer, form: Form, path: Path) -> Iterator[Segment]:
    per_segment = max(1, round(form.segment_seconds * form.fps))
    cutter = _Cutter(form, per_segment, bool(container.streams.audio))
    sampler = _Sampler(form, float(container.streams.video[0].sample_aspect_ratio or 1))
    streams = [container.streams.video[0], *container.streams.audio[:1]]
    for stream in streams:
        stream.codec_context.thread_count = 1  # builds run one process a core
    sound = _Sound(form.audio_rate)
    # Times are counted from the earliest stream, which is where players start.
    starts = [float(s.start_time * s.time_base) for s in streams if s.start_time is not None]
    zero = min(starts, default=0.0)
    errors = 0
    for packet in container.demux(streams):
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            errors += 1
            continue
        for frame in decoded:
            if isinstance(frame, av.VideoFrame):
                cutter.frames.extend(sampler.take(frame, zero))
            else:
                cutter.add_sound(sound.take(frame, zero))
        yield from cutter.complete()
    cutter.frames.extend(sampler.finish())
    cutter.add_sound(sound.finish())
    if errors and not cutter.any_frames():
        raise MediaError(path, f"cannot be decoded: {errors} broken packets")
    if errors:
        raise MediaError(path, f"is damaged: {errors} packets cannot be decoded")
    if not cutter.any_frames():
        raise MediaError(path, "holds no frame")
    _check_length(container, path, cutter.seconds())
    yield from cutter.rest()


def _check_length(container: av.container.InputContainer, path: Path, seconds: float) -> None:
    """A truncated file often decodes without complaint: its header promises more."""
    promised = float(container.duration / av.time_base) if container.duration else 0.0
    if promised > seconds + 2.0 and seconds < 0.9 * promised:
        raise MediaError(path, f"is truncated: {seconds:.1f} of {promised:.1f} s can be decoded")


class _Sampler:
    """Source frames at any times to JPEG frames at constant rate."""

    def __init__(self, form: Form, pixel_aspect: float):
        self._form = form
        self._aspect = pixel_aspect
        # One for all frames: it keeps the scaler, which takes longer to set up than to run.
        self._scaler = VideoReformatter()
        self._next = 0
        self._shown: av.VideoFrame | None = None
        self._encoded: bytes | None = None
        self._until = 0.0

    def take(self, frame: av.VideoFrame, zero: float) -> Iterator[bytes]:
        """Takes the next source frame; gives out the frames that are due before it is shown."""
        time = self._until if frame.time is None else frame.time - zero
        duration = float((frame.duration or 0) * (frame.time_base or Fraction(0)))
        if self._shown is not None:  # what comes before the first frame shows the first frame
            yield from self._fill(time - _TINY)
        self._shown, self._encoded = frame, None
        self._until = max(self._until, time + (duration or 1.0 / self._form.fps))

    def finish(self) -> Iterator[bytes]:
        """Gives out the frames up to the end of the last source frame."""
        if self._shown is not None:
            yield from self._fill(self._until - 0.5 / self._form.fps)

    def _fill(self, until: float) -> Iterator[bytes]:
        while self._next / self._form.fps < until:
            if self._encoded is None:
                self._encoded = to_jpeg(self._shown, self._form, self._aspect, self._scaler)
            yield self._encoded
            self._next += 1


class _Sound:
    """Source audio frames to mono int16 at a constant rate, with their place in time."""

    def __init__(self, rate: int):
        self._rate = rate
        self._resampler: av.AudioResampler | None = None
        self._place = 0
        self._until = 0.0

    def take(self, frame: av.AudioFrame, zero: float) -> list[tuple[int, np.ndarray]]:
        """Resamples a source frame: [(first sample's place, samples [n] int16)]."""
        out = []
        time = self._until if frame.time is None else frame.time - zero
        if self._resampler is None or time > self._until + _GAP:
            out = self.finish()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=self._rate)
            self._place, self._until = round(time * self._rate), time
        self._until += frame.samples / frame.sample_rate
        frame.pts = None  # broken time stamps must not stop the resampler; order is enough
        return out + self._placed(self._resampler.resample(frame))

    def finish(self) -> list[tuple[int, np.ndarray]]:
        """What the resampler still holds."""
        return [] if self._resampler is None else self._placed(self._resampler.resample(None))

    def _placed(self, frames: list[av.AudioFrame]) -> list[tuple[int, np.ndarray]]:
        out = []
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1)
            out.append((self._place, samples))
            self._place += len(samples)
        return out


class _Cutter:
    """Collects frames and sound and cuts them into segments."""

    def __init__(self, form: Form, per_segment: int, has_audio: bool):
        self._form = form
        self._per_segment = per_segment
        self._has_audio = has_audio
        self._index = 0
        self._first = 0  # number of frames in the segments given out
        self._chunks: list[tuple[int, np.ndarray]] = []
        self._sound_end = 0
        self.frames: list[bytes] = []

    def add_sound(self, chunks: list[tuple[int, np.ndarray]]) -> None:
        """Takes samples with their places."""
        for place, samples in chunks:
            self._chunks.append((place, samples))
            self._sound_end = place + len(samples)

    def any_frames(self) -> bool:
        """Whether the video has any frame."""
        return self._index > 0 or bool(self.frames)

    def seconds(self) -> float:
        """Seconds of video so far."""
        return (self._first + len(self.frames)) / self._form.fps

    def complete(self) -> Iterator[Segment]:
        """Segments that nothing can be added to any more."""
        # A full segment waits for a second more of video: a shorter rest would belong to it.
        while len(self.frames) >= self._per_segment + max(self._form.fps, 1):
            end = self._sample(self._first + self._per_segment)
            waited = (len(self.frames) - self._per_segment) / self._form.fps
            # Sound may lag behind pictures in a file, or end before them.
            if self._has_audio and self._sound_end < end and waited < _PATIENCE:
                return
            yield self._cut(self._per_segment)

    def rest(self) -> Iterator[Segment]:
        """Everything left."""
        while self.frames:
            left = len(self.frames) - self._per_segment
            yield self._cut(self._per_segment if left >= self._form.fps else len(self.frames))

    def _sample(self, frame: int) -> int:
        return round(frame / self._form.fps * self._form.audio_rate)

    def _cut(self, count: int) -> Segment:
        frames, self.frames = self.frames[:count], self.frames[count:]
        first, last = self._first, self._first + count
        audio = self._take_sound(self._sample(first), self._sample(last))
        segment = Segment(self._index, first / self._form.fps, last / self._form.fps, frames, audio)
        self._index, self._first = self._index + 1, last
        return segment

    def _take_sound(self, start: int, end: int) -> np.ndarray | None:
        if not self._has_audio or not self._sound_end:
            return None
        audio = np.zeros(end - start, np.int16)  # gaps and a missing end are silence
        for place, samples in self._chunks:
            low, high = max(place, start), min(place + len(samples), end)
            if low < high:
                audio[low - start : high - start] = samples[low - place : high - place]
        self._chunks = [(p, s) for p, s in self._chunks if p + len(s) > end]
        return audio


def to_jpeg(
    frame: av.VideoFrame, form: Form, pixel_aspect: float, scaler: VideoReformatter
) -> bytes:
    """A frame upright, of square pixels, scaled so that its short side fits the form."""
    wide, height = frame.width * pixel_aspect, frame.height
    scale = form.short_side / min(wide, height)
    size = [max(form.short_side, round(side * scale / 2) * 2) for side in (wide, height)]
    size[0 if wide <= height else 1] = form.short_side
    scaled = scaler.reformat(frame, *size, "rgb24", interpolation="BILINEAR", threads=1)
    image = scaled.to_image()
    rotation = frame.rotation % 360
    if rotation in _ROTATE:
        image = image.transpose(_ROTATE[rotation])
    data = io.BytesIO()
    image.save(data, "JPEG", quality=form.jpeg_quality)
    return data.getvalue()
