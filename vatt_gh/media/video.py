"""Decodes any media file: in segments at a constant rate, or one window of it."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from vatt_gh.media.cutting import MAX_SOUND_DELAY, Cutter
from vatt_gh.media.form import WHOLE, Form, MediaError, Segment, Span
from vatt_gh.media.notes import Clock, Notes, decoded
from vatt_gh.media.opening import (
    claimed_seconds,
    is_short,
    picture_stream,
    promised_seconds,
    reading,
    sound_stream,
)
from vatt_gh.media.pictures import AviPlaces, Sampler, Scaler
from vatt_gh.media.sound import Chunk, Resampler, place
from vatt_gh.media.sound_file import is_sound_file, sound_segments, sound_window
from vatt_gh.media.storages import STORAGES

_WITHOUT_INDEX = ("mpegts", "mpeg", "mpegvideo")
_LEAD = 1.0  # s; reading begins this much before a window: sound may precede its pictures


class Opened(NamedTuple):
    """A file with a video stream.

    Attributes:
        container: PyAV's container.
        video, audio: the streams to read; audio: None where there is no sound.
        streams: the streams that exist, one or both.
        zero: start of the earlier stream, in seconds of its time stamps, where players start.
        scaler: scaler for its frames.
        remark: remark on its sound stream, or None.
    """

    container: av.container.InputContainer
    video: av.video.stream.VideoStream
    audio: av.audio.stream.AudioStream | None
    streams: list[av.stream.Stream]
    zero: float
    scaler: Scaler
    remark: str | None


@contextlib.contextmanager
def opened(path: Path | str, form: Form, size: tuple[int, int] | None = None) -> Iterator[Opened]:
    """Opens a file with a video stream; turns errors while it is open into MediaError."""
    with reading(path) as container:
        video = picture_stream(container, path)
        audio, remark = sound_stream(container, path)
        streams = [s for s in (video, audio) if s is not None]
        for stream in streams:
            stream.codec_context.thread_count = 1  # builds run one process a core
        begins = [s.start_time * s.time_base for s in streams if s.start_time is not None]
        scaler = Scaler(form.short_side, float(video.sample_aspect_ratio or 1), size)
        zero = float(min(begins, default=0))
        yield Opened(container, video, audio, streams, zero, scaler, remark)


def read_segments(
    path: Path | str, form: Form, notes: Notes | None = None, span: Span = WHOLE
) -> Iterator[Segment]:
    """Decodes a file, or a stretch of it, in one pass; holds one segment in memory.

    Variable frame rates become constant: frame k is the last source frame shown at its time.
    Frames are upright, with square pixels. A remainder below one second joins the previous
    segment. A gap without pictures ends a segment and is not stored. An audio-only file, by its
    suffix, gives the segments of vatt_gh.media.sound_file.sound_segments.

    Args:
        path: a file with a video stream, or an audio-only file.
        form: how to store it.
        notes: receive remarks and damage.
        span: the wanted part, to the nearest frame.

    Yields:
        Segments in order, with the file's own times.

    Raises:
        MediaError: the file is empty, truncated, not media, has no video stream, or ends before
            the span begins.
    """
    notes = notes or Notes()
    if is_sound_file(path):
        yield from sound_segments(Path(path), form, notes, span)
        return
    with opened(path, form) as file:
        yield from _segments(file, form, Path(path), notes, span)


def read_window(
    path: Path | str, form: Form, frames: range, samples: range, size: tuple[int, int] | None = None
) -> tuple[list[np.ndarray], np.ndarray]:
    """Decodes a window of a file, starting at the key frame before it.

    Args:
        path: a file that `read_segments` reads.
        form: how it would be stored.
        frames: numbers of the wanted frames, counted from the video's beginning.
        samples: positions of the wanted sound samples, counted from there too.
        size: height and width of the frames; None: those of the first one that is read.

    Returns:
        Frames [H, W, 3] uint8, as in `read_segments` but without JPEG loss: fewer where the video
        ends, none for an audio-only file. And the sound, [len(samples)] int16.

    Raises:
        MediaError: the file cannot be decoded there.
    """
    if is_sound_file(path):
        return [], sound_window(Path(path), form, samples)
    with opened(path, form, size) as file:
        pictures: list[np.ndarray] = []
        chunks: list[Chunk] = []
        sampler = Sampler(form.fps, file.scaler.rgb, frames.start)
        sound = Resampler(form.audio_rate)
        begin = min(frames.start / form.fps, samples.start / form.audio_rate)
        end = max(frames.stop / form.fps, samples.stop / form.audio_rate)
        silent = file.audio is None or not samples
        for frame in _decoded_from(file, begin, Notes()):
            if not isinstance(frame, av.VideoFrame):
                chunks += sound.take(frame, file.zero)
            elif len(pictures) < len(frames):
                pictures.extend(sampler.take(frame, file.zero))
            heard = silent or (chunks and chunks[-1][0] >= samples.stop)
            late = frame.time is not None and frame.time - file.zero > end + MAX_SOUND_DELAY
            if len(pictures) >= len(frames) and (heard or late):
                break
        pictures.extend(sampler.finish(form.longest_gap) if len(pictures) < len(frames) else ())
        if not pictures:
            raise MediaError(path, f"has no frame at {frames.start / form.fps:.1f} s")
        chunks += sound.finish()
        return pictures[: len(frames)], place(chunks, samples.start, samples.stop)


def _decoded_from(file: Opened, seconds: float, notes: Notes) -> Iterator[Any]:
    """Decodes frames from a key frame before a time; from the beginning without an index."""
    target = max(0.0, seconds - _LEAD) + file.zero
    places = AviPlaces() if file.container.format.name == "avi" else None
    notes.anywhere = seconds > _LEAD or file.container.format.name in _WITHOUT_INDEX
    with contextlib.suppress(av.FFmpegError):
        if seconds > _LEAD:
            if places is not None:
                places.learn(file.container.demux(file.video))
            _seek(file, target, seconds)
    for packet in file.container.demux(file.streams):
        if places is not None and packet.stream is file.video:
            places.take(packet)
        for frame in decoded(packet, notes):
            if places is not None and isinstance(frame, av.VideoFrame):
                places.correct(frame)
            yield frame


def _seek(file: Opened, target: float, wanted: float) -> None:
    """Seeks to a key frame before a time.

    Without an index FFmpeg seeks to any packet near it, and the next key frame may be too late.
    Then it seeks farther back, until one is early enough.
    """
    container, unit = file.container, file.video.time_base
    container.seek(int(target / unit), stream=file.video)
    back = 2.0
    while container.format.name in _WITHOUT_INDEX:
        packets = (p for p in container.demux(file.video) if p.is_keyframe and p.pts is not None)
        first = next(packets, None)
        early = first is not None and float(first.pts * unit) - file.zero <= wanted
        if early or target - back <= file.zero:
            back = 0.0 if early else back
            container.seek(int(max(target - back, file.zero) / unit), stream=file.video)
            return
        target, back = target - back, 2 * back
        container.seek(int(target / unit), stream=file.video)


def _segments(file: Opened, form: Form, path: Path, notes: Notes, span: Span) -> Iterator[Segment]:
    cutter = Cutter(form, span, has_video=True, has_audio=file.audio is not None)
    sampler = Sampler(form.fps, STORAGES[form.storage].keeper(file.scaler, form), cutter.first)
    sound = Resampler(form.audio_rate)
    notes.remarks += [] if file.remark is None else [file.remark]
    clock = Clock("picture", form.longest_gap, notes)
    heard = math.inf  # amount of sound at the last picture
    for frame in _decoded_from(file, span.start, notes):
        if isinstance(frame, av.VideoFrame):
            time = sampler.time(frame, file.zero)
            step = clock.step(sampler.gap(time), time, cutter.sound_taken() - heard)
            if step == "skip":
                continue
            heard = cutter.sound_taken()
            if step != "on":
                cutter.add_frames(sampler.finish(form.longest_gap))
            if step == "end":
                break
            if step == "gap":
                cutter.restart(sampler.restart(time))
            cutter.size = cutter.size or file.scaler.size(frame)
            cutter.add_frames(sampler.take(frame, file.zero))
        else:
            notes.sound.take(frame)
            cutter.add_sound(sound.take(frame, file.zero))
        yield from cutter.complete()
        time = None if frame.time is None else frame.time - file.zero
        if cutter.satisfied(time):
            break
    else:
        cutter.add_sound(sound.finish())
        cutter.add_frames(sampler.finish(form.longest_gap, cutter.sound_seconds()))
        _check_end(file, path, cutter, notes, sampler.claimed())
    _check_damage(path, cutter, notes, form)
    cutter.add_sound(sound.finish())
    notes.left_behind(sound.behind)
    notes.sound.end = cutter.sound_seconds()
    yield from cutter.rest()


def _check_damage(path: Path, cutter: Cutter, notes: Notes, form: Form) -> None:
    """Refuses a file with damaged pictures, or none; marks sound that is too damaged."""
    damage = notes.damage("video", form.damaged_share)
    if damage or not cutter.any_frames():
        raise MediaError(path, damage or "holds no frame")
    notes.sound.damage = notes.damage("audio", form.damaged_share)


def _check_end(file: Opened, path: Path, cutter: Cutter, notes: Notes, claimed: float) -> None:
    """Refuses a file that ends too early."""
    if not cutter.any_frames():
        begin = cutter.seconds()
        reason = "holds no frame" if begin == 0 else f"has no frame at {begin:.1f} s"
        raise MediaError(path, notes.error or reason)
    # The last picture may claim more than was written of it.
    remark = check_length(file, path, max(claimed, cutter.seconds()))
    notes.remarks += [] if remark is None else [remark]


def check_length(file: Opened, path: Path, seconds: float) -> str | None:
    """Refuses a file whose pictures end long before its header says.

    A truncated file often decodes without complaint: its header promises more.

    Args:
        file: the opened file.
        path: its path.
        seconds: end of its pictures.

    Returns:
        A remark on pictures that end before another stream does, or None.

    Raises:
        MediaError: the file is truncated.
    """
    container, video = file.container, file.video
    whole, promised = claimed_seconds(container), promised_seconds(video)
    if promised and whole:  # a stream may count what an edit list removes
        promised = min(promised, whole)
    if container.format.name == "avi" and video.average_rate:
        # FFmpeg shortens the duration of a cut-off file, but not its number of frames.
        promised = max(promised or 0.0, float(video.frames / video.average_rate))
    # Headers count from 0, wherever the streams begin.
    whole, promised = (x and x - max(0.0, file.zero) for x in (whole, promised))
    if is_short(seconds, promised or 0.0) or (
        promised is None and is_short(seconds, whole) and not _has_end(container, whole)
    ):
        limit = promised or whole
        raise MediaError(path, f"is truncated: {seconds:.1f} of {limit:.1f} s can be decoded")
    if is_short(seconds, whole):
        return f"its pictures end after {seconds:.1f} of {whole:.1f} s; then nothing is taken"
    return None


def _has_end(container: av.container.InputContainer, seconds: float) -> bool:
    """Tells whether any stream has a packet near the end that the file claims."""
    container.seek(int((seconds - 1.0) * av.time_base))
    begin = (container.start_time or 0) / av.time_base
    return any(
        not is_short(float((p.pts + (p.duration or 0)) * p.time_base) - begin, seconds)
        for p in container.demux()
        if p.pts is not None and p.size
    )
