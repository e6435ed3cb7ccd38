"""Decodes any video file: whole, in segments at a constant rate, or one window of it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from vatt_gh.media.form import Form, MediaError, Segment
from vatt_gh.media.mp4 import to_mp4
from vatt_gh.media.pictures import Planes, Sampler, Scaler
from vatt_gh.media.sound import Chunk, Resampler, SoundCheck, place, to_flac

_PATIENCE = 10.0  # s of video that a segment waits for its sound
_LEAD = 1.0  # s before a window where reading begins: sound may lie before its pictures


class _Opened(NamedTuple):
    """A file with a video stream.

    Attributes:
        container: of PyAV.
        video, audio: its first streams; audio: None where there is no sound.
        zero: when the earlier of them begins, in seconds of its time stamps, where players start.
        scaler: of its frames.
    """

    container: av.container.InputContainer
    video: av.video.stream.VideoStream
    audio: av.audio.stream.AudioStream | None
    zero: float
    scaler: Scaler

    def streams(self) -> list[av.stream.Stream]:
        """Those that are read."""
        return [self.video] if self.audio is None else [self.video, self.audio]


@contextlib.contextmanager
def _opened(path: Path | str, form: Form) -> Iterator[_Opened]:
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise MediaError(path, "has no video stream")
            video = container.streams.video[0]
            audio = next(iter(container.streams.audio), None)
            streams = [s for s in (video, audio) if s is not None]
            for stream in streams:
                stream.codec_context.thread_count = 1  # builds run one process a core
            begins = [
                float(s.start_time * s.time_base) for s in streams if s.start_time is not None
            ]
            scaler = Scaler(form.short_side, float(video.sample_aspect_ratio or 1))
            yield _Opened(container, video, audio, float(min(begins, default=0)), scaler)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, f"cannot be decoded: {error}") from error


def read_segments(
    path: Path | str, form: Form, check: SoundCheck | None = None
) -> Iterator[Segment]:
    """Decodes a file once, one segment in memory at a time.

    Variable frame rates become constant: frame k is the last source frame shown at its time.
    Frames are upright, of square pixels. A rest of less than a second at the end belongs to the
    segment before it.

    Args:
        path: of a file with a video stream.
        form: how to store it.
        check: shown all sound on the way.

    Yields:
        Segments in order.

    Raises:
        MediaError: the file is empty, truncated, no media, or has no video stream.
    """
    with _opened(path, form) as file:
        yield from _segments(file, form, Path(path), check or SoundCheck())


def read_window(
    path: Path | str, form: Form, frames: range, samples: range
) -> tuple[list[np.ndarray], np.ndarray]:
    """Decodes a window of a file, from the key frame before it on.

    Args:
        path: of a file that `read_segments` reads.
        form: how it would be stored.
        frames: numbers of the frames wanted, counted from the video's beginning.
        samples: places of the sound samples wanted, counted likewise.

    Returns:
        Frames [H, W, 3] uint8, as `read_segments` has them but for the loss of JPEG, fewer where
        the video ends before; and the sound, [len(samples)] int16.

    Raises:
        MediaError: the file cannot be decoded there.
    """
    with _opened(path, form) as file:
        pictures: list[np.ndarray] = []
        chunks: list[Chunk] = []
        sampler = Sampler(form.fps, file.scaler.rgb, frames.start)
        sound = Resampler(form.audio_rate)
        begin = min(frames.start / form.fps, samples.start / form.audio_rate)
        end = max(frames.stop / form.fps, samples.stop / form.audio_rate)
        silent = file.audio is None or not samples
        for frame in _decoded_from(file, begin):
            if not isinstance(frame, av.VideoFrame):
                chunks += sound.take(frame, file.zero)
            elif len(pictures) < len(frames):
                pictures.extend(sampler.take(frame, file.zero))
            heard = silent or (chunks and chunks[-1][0] >= samples.stop)
            late = frame.time is not None and frame.time - file.zero > end + _PATIENCE
            if len(pictures) >= len(frames) and (heard or late):
                break
        pictures.extend(sampler.finish() if len(pictures) < len(frames) else ())
        if not pictures:
            raise MediaError(path, f"has no frame at {frames.start / form.fps:.1f} s")
        heard = place(chunks + sound.finish(), samples.start, samples.stop)
        return pictures[: len(frames)], heard


def _decoded_from(file: _Opened, seconds: float) -> Iterator[Any]:
    """Decoded frames from a key frame before a time on; from the beginning without an index."""
    target = max(0.0, seconds - _LEAD) + file.zero
    with contextlib.suppress(av.FFmpegError):
        if seconds > _LEAD:
            file.container.seek(int(target / file.video.time_base), stream=file.video)
    for packet in file.container.demux(file.streams()):
        with contextlib.suppress(av.error.InvalidDataError):  # as before a file's first key frame
            yield from packet.decode()


def _segments(file: _Opened, form: Form, path: Path, check: SoundCheck) -> Iterator[Segment]:
    make, pack = _storage(file.scaler, form)
    cutter = _Cutter(form, pack, file.audio is not None)
    sampler = Sampler(form.fps, make)
    sound = Resampler(form.audio_rate)
    errors = 0
    for packet in file.container.demux(file.streams()):
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            errors += 1
            continue
        for frame in decoded:
            if isinstance(frame, av.VideoFrame):
                cutter.size = cutter.size or file.scaler.size(frame)
                cutter.frames.extend(sampler.take(frame, file.zero))
            else:
                check.take(frame)
                cutter.add_sound(sound.take(frame, file.zero))
        yield from cutter.complete()
    cutter.frames.extend(sampler.finish())
    cutter.add_sound(sound.finish())
    check.end = cutter.sound_seconds()
    if errors and not cutter.any_frames():
        raise MediaError(path, f"cannot be decoded: {errors} broken packets")
    if errors:
        raise MediaError(path, f"is damaged: {errors} packets cannot be decoded")
    if not cutter.any_frames():
        raise MediaError(path, "holds no frame")
    _check_length(file.container, path, cutter.seconds())
    yield from cutter.rest()


def _storage(scaler: Scaler, form: Form) -> tuple[Callable, Callable]:
    """What is made of a frame that is needed; what is kept of a segment's frames and sound."""

    def jpeg(frame: av.VideoFrame) -> bytes:
        return scaler.planes(frame).jpeg(form.jpeg_quality)

    def as_is(frames: list[bytes], audio: np.ndarray | None) -> dict[str, Any]:
        return {"frames": frames, "audio": audio}

    def compressed(frames: list[Planes], audio: np.ndarray | None) -> dict[str, Any]:
        flac = b"" if audio is None else to_flac(audio, form.audio_rate)
        return {"video": to_mp4(frames), "flac": flac}

    return {
        "jpeg": (jpeg, as_is),
        "mp4": (scaler.planes, compressed),
        "index": (lambda frame: None, lambda frames, audio: {}),
    }[form.storage]


def _check_length(container: av.container.InputContainer, path: Path, seconds: float) -> None:
    """A truncated file often decodes without complaint: its header promises more."""
    promised = float(container.duration / av.time_base) if container.duration else 0.0
    if promised > seconds + 2.0 and seconds < 0.9 * promised:
        raise MediaError(path, f"is truncated: {seconds:.1f} of {promised:.1f} s can be decoded")


class _Cutter:
    """Collects frames and sound and cuts them into segments."""

    def __init__(self, form: Form, pack: Callable, has_audio: bool):
        self._form, self._pack = form, pack
        self._per_segment = max(1, round(form.segment_seconds * form.fps))
        self._has_audio = has_audio
        self._index = 0
        self._first = 0  # number of frames in the segments given out
        self._chunks: list[Chunk] = []
        self._sound_end = 0
        self.frames: list[Any] = []
        self.size: tuple[int, int] | None = None

    def add_sound(self, chunks: list[Chunk]) -> None:
        """Takes samples with their places."""
        for first, samples in chunks:
            self._chunks.append((first, samples))
            self._sound_end = first + len(samples)

    def any_frames(self) -> bool:
        """Whether the video has any frame."""
        return self._index > 0 or bool(self.frames)

    def seconds(self) -> float:
        """Seconds of video so far."""
        return (self._first + len(self.frames)) / self._form.fps

    def sound_seconds(self) -> float:
        """Where the sound ends so far."""
        return self._sound_end / self._form.audio_rate

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
