"""Decodes files of sound alone: in segments, or one window; they are videos without frames."""

import contextlib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from vatt_gh.media.cutting import Cutter
from vatt_gh.media.files import AUDIO_SUFFIXES
from vatt_gh.media.form import Form, MediaError, Segment, Span
from vatt_gh.media.sound import Chunk, Resampler, SoundCheck, place, to_flac

_LEAD = 1.0  # s before a place where reading begins
# Without an index their length and their places are guesses by FFmpeg.
_GUESSED = {"mp3", "aac"}


class _Opened(NamedTuple):
    container: av.container.InputContainer
    stream: av.audio.stream.AudioStream
    zero: float  # when it begins, in seconds of its time stamps


def is_sound_file(path: Path | str) -> bool:
    """Whether a file is sound alone, by its suffix."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def sound_segments(path: Path, form: Form, check: SoundCheck, span: Span) -> Iterator[Segment]:
    """Decodes a file, or a stretch of it, once, one segment in memory at a time.

    Args:
        path: of a file with an audio stream.
        form: how to store it.
        check: shown all sound on the way.
        span: what of it is wanted, to the nearest frame that a video would have.

    Yields:
        Segments as of a video, with as many frames as their sound is long, none of which is there:
        height and width are 0.

    Raises:
        MediaError: the file is empty, truncated, damaged, no media, has no audio stream, or ends
            before the span begins.
    """
    with _opened(path) as file:
        first = round(span.start * form.fps)
        last = None if span.end is None else max(first + 1, round(span.end * form.fps))
        cutter = Cutter(form, lambda _, audio: _packed(audio, form), True, first, last)
        sound = Resampler(form.audio_rate)
        errors: list[Exception] = []
        for frame in _decoded_from(file, span.start, errors):
            check.take(frame)
            cutter.add_sound(sound.take(frame, file.zero))
            _add_places(cutter, math.floor(cutter.sound_seconds() * form.fps), form)
            yield from cutter.complete()
            if cutter.satisfied(None):
                break
        else:
            cutter.add_sound(sound.finish())
            # A thousandth of a frame is rounding, more is sound that needs a place.
            _add_places(cutter, math.ceil(cutter.sound_seconds() * form.fps - 1e-3), form)
            _check_end(file, path, cutter, errors, span)
        check.end = cutter.sound_seconds()
        yield from cutter.rest()


def sound_window(path: Path, form: Form, samples: range) -> np.ndarray:
    """Decodes a window of a file.

    Args:
        path: of a file that `sound_segments` reads.
        form: how it would be stored.
        samples: places of the samples wanted, counted from the beginning.

    Returns:
        [len(samples)] int16; zeros behind the end.

    Raises:
        MediaError: the file cannot be decoded, or ends before the window.
    """
    chunks: list[Chunk] = []
    with _opened(path) as file:
        sound = Resampler(form.audio_rate)
        for frame in _decoded_from(file, samples.start / form.audio_rate, []):
            chunks += sound.take(frame, file.zero)
            # Without an index all of the file goes by.
            chunks = [(p, s) for p, s in chunks if p + len(s) > samples.start]
            if chunks and chunks[-1][0] >= samples.stop:
                break
        chunks += sound.finish()
    if not any(first + len(part) > samples.start for first, part in chunks):
        raise MediaError(path, f"has no sound at {samples.start / form.audio_rate:.1f} s")
    return place(chunks, samples.start, samples.stop)


def sound_seconds(path: Path) -> float:
    """How long a file is.

    Args:
        path: of a file with an audio stream.

    Returns:
        Seconds, by its header or FFmpeg's guess, or else by its packets.

    Raises:
        MediaError: nothing of it can be decoded.
    """
    with _opened(path) as file:
        if next(file.container.decode(file.stream), None) is None:
            raise MediaError(path, "holds no sound")
        if file.container.duration:
            return _duration(file)
        packets = (p for p in file.container.demux(file.stream) if p.pts is not None)
        end = max(((p.pts + (p.duration or 0)) * p.time_base for p in packets), default=0)
        return float(end) - file.zero


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise MediaError(path, "has no audio stream")
            stream = container.streams.audio[0]
            stream.codec_context.thread_count = 1  # builds run one process a core
            yield _Opened(container, stream, float((stream.start_time or 0) * stream.time_base))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, f"cannot be decoded: {error}") from error


def _decoded_from(file: _Opened, seconds: float, errors: list[Exception]) -> Iterator[Any]:
    if seconds > _LEAD and file.container.format.name not in _GUESSED:
        target = seconds - _LEAD + file.zero
        with contextlib.suppress(av.FFmpegError):
            file.container.seek(int(target / file.stream.time_base), stream=file.stream)
    for packet in file.container.demux(file.stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError as error:
            errors.append(error)


def _packed(audio: np.ndarray | None, form: Form) -> dict[str, Any]:
    if audio is None or form.storage == "index":
        return {}
    if form.storage == "mp4":
        return {"flac": to_flac(audio, form.audio_rate)}
    return {"audio": audio}


def _add_places(cutter: Cutter, until: int, form: Form) -> None:
    """As many frames that are not there as a video would have until then."""
    count = until - round(cutter.seconds() * form.fps)
    cutter.add_frames(itertools.repeat(None, max(0, count)))


def _duration(file: _Opened) -> float:
    return float((file.container.duration or 0) / av.time_base)


def _check_end(
    file: _Opened, path: Path, cutter: Cutter, errors: list[Exception], span: Span
) -> None:
    if not cutter.any_frames():
        reason = "holds no sound" if span.start == 0 else f"has no sound at {span.start:.1f} s"
        raise MediaError(path, f"cannot be decoded: {errors[0]}" if errors else reason)
    guessed = file.container.format.name in _GUESSED
    promised, seconds = 0.0 if guessed else _duration(file), cutter.sound_seconds()
    if promised > seconds + 2.0 and seconds < 0.9 * promised:
        raise MediaError(path, f"is truncated: {seconds:.1f} of {promised:.1f} s can be decoded")
    if errors:
        raise MediaError(path, f"is damaged: {len(errors)} packets cannot be decoded")
