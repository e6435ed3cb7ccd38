"""Decodes any media file: whole, in segments at a constant rate, or one window of it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from vatt_gh.media.cutting import PATIENCE, Cutter
from vatt_gh.media.form import WHOLE, Form, MediaError, Segment, Span
from vatt_gh.media.mp4 import to_mp4
from vatt_gh.media.pictures import AviPlaces, Planes, Sampler, Scaler
from vatt_gh.media.sound import Chunk, Resampler, SoundCheck, place, to_flac
from vatt_gh.media.sound_file import is_sound_file, sound_segments, sound_window

_LEAD = 1.0  # s before a window where reading begins: sound may lie before its pictures


class Opened(NamedTuple):
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
def opened(path: Path | str, form: Form) -> Iterator[Opened]:
    """Opens a file with a video stream; what goes wrong with it meanwhile is a MediaError."""
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
            yield Opened(container, video, audio, float(min(begins, default=0)), scaler)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, f"cannot be decoded: {error}") from error


def read_segments(
    path: Path | str, form: Form, check: SoundCheck | None = None, span: Span = WHOLE
) -> Iterator[Segment]:
    """Decodes a file, or a stretch of it, once, one segment in memory at a time.

    Variable frame rates become constant: frame k is the last source frame shown at its time.
    Frames are upright, of square pixels. A rest of less than a second at the end belongs to the
    segment before it. A file of sound alone, by its suffix, gives what
    vatt_gh.media.sound_file.sound_segments does.

    Args:
        path: of a file with a video stream, or of sound alone.
        form: how to store it.
        check: shown all sound on the way.
        span: what of it is wanted, to the nearest frame.

    Yields:
        Segments in order; their times and those of their frames are the file's.

    Raises:
        MediaError: the file is empty, truncated, no media, has no video stream, or ends before
            the span begins.
    """
    check = check or SoundCheck()
    if is_sound_file(path):
        yield from sound_segments(Path(path), form, check, span)
        return
    with opened(path, form) as file:
        yield from _segments(file, form, Path(path), check, span)


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
        the video ends before, none of sound alone; and the sound, [len(samples)] int16.

    Raises:
        MediaError: the file cannot be decoded there.
    """
    if is_sound_file(path):
        return [], sound_window(Path(path), form, samples)
    with opened(path, form) as file:
        pictures: list[np.ndarray] = []
        chunks: list[Chunk] = []
        sampler = Sampler(form.fps, file.scaler.rgb, frames.start)
        sound = Resampler(form.audio_rate)
        begin = min(frames.start / form.fps, samples.start / form.audio_rate)
        end = max(frames.stop / form.fps, samples.stop / form.audio_rate)
        silent = file.audio is None or not samples
        for frame in _decoded_from(file, begin, []):
            if not isinstance(frame, av.VideoFrame):
                chunks += sound.take(frame, file.zero)
            elif len(pictures) < len(frames):
                pictures.extend(sampler.take(frame, file.zero))
            heard = silent or (chunks and chunks[-1][0] >= samples.stop)
            late = frame.time is not None and frame.time - file.zero > end + PATIENCE
            if len(pictures) >= len(frames) and (heard or late):
                break
        pictures.extend(sampler.finish() if len(pictures) < len(frames) else ())
        if not pictures:
            raise MediaError(path, f"has no frame at {frames.start / form.fps:.1f} s")
        chunks += sound.finish()
        return pictures[: len(frames)], place(chunks, samples.start, samples.stop)


def _decoded_from(file: Opened, seconds: float, errors: list[Exception]) -> Iterator[Any]:
    """Decoded frames from a key frame before a time on; from the beginning without an index."""
    target = max(0.0, seconds - _LEAD) + file.zero
    places = AviPlaces() if file.container.format.name == "avi" else None
    with contextlib.suppress(av.FFmpegError):
        if seconds > _LEAD:
            if places is not None:
                places.learn(file.container.demux(file.video))
            file.container.seek(int(target / file.video.time_base), stream=file.video)
    for packet in file.container.demux(file.streams()):
        if places is not None and packet.stream is file.video:
            places.take(packet)
        try:
            for frame in packet.decode():
                if places is not None and isinstance(frame, av.VideoFrame):
                    places.correct(frame)
                yield frame
        except av.error.InvalidDataError as error:
            errors.append(error)


def _segments(
    file: Opened, form: Form, path: Path, check: SoundCheck, span: Span
) -> Iterator[Segment]:
    first = round(span.start * form.fps)
    last = None if span.end is None else max(first + 1, round(span.end * form.fps))
    make, pack = _storage(file.scaler, form)
    cutter = Cutter(form, pack, file.audio is not None, first, last)
    sampler, sound = Sampler(form.fps, make, first), Resampler(form.audio_rate)
    errors: list[Exception] = []
    for frame in _decoded_from(file, span.start, errors):
        if isinstance(frame, av.VideoFrame):
            cutter.size = cutter.size or file.scaler.size(frame)
            cutter.add_frames(sampler.take(frame, file.zero))
        else:
            check.take(frame)
            cutter.add_sound(sound.take(frame, file.zero))
        yield from cutter.complete()
        time = None if frame.time is None else frame.time - file.zero
        if cutter.satisfied(time):
            break
    else:
        cutter.add_frames(sampler.finish())
        _check_end(file, path, cutter, errors, span)
    cutter.add_sound(sound.finish())
    check.end = cutter.sound_seconds()
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


def _check_end(
    file: Opened,
    path: Path,
    cutter: Cutter,
    errors: list[Exception],
    span: Span,
) -> None:
    """Refuses a file that ended, where it ended as no whole file does."""
    if not cutter.any_frames():
        reason = "holds no frame" if span.start == 0 else f"has no frame at {span.start:.1f} s"
        raise MediaError(path, f"cannot be decoded: {errors[0]}" if errors else reason)
    if errors and span == WHOLE:
        raise MediaError(path, f"is damaged: {len(errors)} packets cannot be decoded")
    check_length(file, path, cutter.seconds())


def check_length(file: Opened, path: Path, seconds: float) -> None:
    """Refuses a file whose pictures end long before its header says.

    A truncated file often decodes without complaint: its header promises more.
    """
    container, video = file.container, file.video
    promised = float(container.duration / av.time_base) if container.duration else 0.0
    if container.format.name == "avi" and video.average_rate:
        # FFmpeg shortens its duration with the file; its number of frames stays.
        promised = max(promised, float(video.frames / video.average_rate))
    promised -= max(0.0, file.zero)  # headers count from 0, wherever the streams begin
    if promised > seconds + 2.0 and seconds < 0.9 * promised:
        raise MediaError(path, f"is truncated: {seconds:.1f} of {promised:.1f} s can be decoded")
