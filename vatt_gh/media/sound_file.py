"""Decodes audio-only files, in segments or one window, as videos without frames."""

import contextlib
import itertools
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from vatt_gh.media.cutting import Cutter
from vatt_gh.media.file_tree import AUDIO_SUFFIXES
from vatt_gh.media.form import Form, MediaError, Segment, Span
from vatt_gh.media.notes import Clock, Notes, decoded
from vatt_gh.media.opening import claimed_seconds, is_short, reading, sound_stream
from vatt_gh.media.sound import Chunk, Resampler, place

_TOUCH = 0.01  # s
_LEAD = 1.0  # s; reading begins this much before a position
# Without an index FFmpeg guesses their length and positions.
_GUESSED = {"mp3", "aac"}
# Their time stamps count samples, at the rate that the file begins with.
_COUNTED = {*_GUESSED, "flac", "wav", "w64", "aiff", "ac3", "eac3", "amr"}


class _Opened(NamedTuple):
    container: av.container.InputContainer
    stream: av.audio.stream.AudioStream
    zero: float  # its beginning, in seconds of its time stamps


def is_sound_file(path: Path | str) -> bool:
    """Tells whether a file is audio-only, by its suffix."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def sound_segments(path: Path, form: Form, notes: Notes, span: Span) -> Iterator[Segment]:
    """Decodes a file, or a stretch of it, in one pass; holds one segment in memory.

    Args:
        path: a file with an audio stream.
        form: how to store it.
        notes: receive remarks and damage.
        span: the wanted part, to the nearest frame that a video would have.

    Yields:
        Segments like those of a video, but without frames: `count` covers the sound, height and
        width are 0.

    Raises:
        MediaError: the file is empty, truncated, damaged, not media, has no audio stream, or ends
            before the span begins.
    """
    with _opened(path) as file:
        cutter = Cutter(form, span, has_video=False, has_audio=True)
        sound = Resampler(form.audio_rate, file.container.format.name not in _COUNTED)
        clock = Clock("sound", form.longest_gap, notes)
        for frame in _decoded_from(file, span.start, notes):
            notes.sound.take(frame)
            ended = _add_sound(cutter, sound.take(frame, file.zero), form, clock)
            _add_places(cutter, math.floor(cutter.sound_seconds() * form.fps), form)
            yield from cutter.complete()
            if ended or cutter.satisfied(None):
                break
        else:
            cutter.add_sound(sound.finish())
            _add_last_places(cutter, form)
            _check_end(file, path, cutter, notes)
        notes.left_behind(sound.behind)
        damage = notes.damage("audio", form.damaged_share)
        if damage or not cutter.any_frames():
            raise MediaError(path, damage or "holds no sound")
        notes.sound.end = cutter.sound_seconds()
        yield from cutter.rest()


def sound_window(path: Path, form: Form, samples: range) -> np.ndarray:
    """Decodes a window of a file.

    Args:
        path: a file that `sound_segments` reads.
        form: how it would be stored.
        samples: positions of the wanted samples, counted from the beginning.

    Returns:
        [len(samples)] int16; zeros past the end.

    Raises:
        MediaError: the file cannot be decoded, or ends before the window.
    """
    chunks: list[Chunk] = []
    with _opened(path) as file:
        sound = Resampler(form.audio_rate, file.container.format.name not in _COUNTED)
        for frame in _decoded_from(file, samples.start / form.audio_rate, Notes()):
            chunks += sound.take(frame, file.zero)
            # Without an index the whole file is read.
            chunks = [(p, s) for p, s in chunks if p + len(s) > samples.start]
            if chunks and chunks[-1][0] >= samples.stop:
                break
        chunks += sound.finish()
    if not any(first + len(part) > samples.start for first, part in chunks):
        raise MediaError(path, f"has no sound at {samples.start / form.audio_rate:.1f} s")
    return place(chunks, samples.start, samples.stop)


def sound_seconds(path: Path) -> float:
    """Finds the length of a file.

    Args:
        path: a file with an audio stream.

    Returns:
        Seconds, from its header or FFmpeg's guess, else from its packets.

    Raises:
        MediaError: nothing can be decoded.
    """
    with _opened(path) as file:
        if next(file.container.decode(file.stream), None) is None:
            raise MediaError(path, "holds no sound")
        if claimed := claimed_seconds(file.container):
            return claimed
        packets = (p for p in file.container.demux(file.stream) if p.pts is not None)
        end = max(((p.pts + (p.duration or 0)) * p.time_base for p in packets), default=0)
        return float(end) - file.zero


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    with reading(path) as container:
        stream, remark = sound_stream(container, path)
        if stream is None:
            raise MediaError(path, remark or "has no audio stream")
        stream.codec_context.thread_count = 1  # builds run one process per core
        yield _Opened(container, stream, float((stream.start_time or 0) * stream.time_base))


def _decoded_from(file: _Opened, seconds: float, notes: Notes) -> Iterator[Any]:
    if seconds > _LEAD and file.container.format.name not in _GUESSED:
        target = seconds - _LEAD + file.zero
        with contextlib.suppress(av.FFmpegError):
            file.container.seek(int(target / file.stream.time_base), stream=file.stream)
    notes.anywhere = seconds > _LEAD or file.container.format.name in _GUESSED
    until = -math.inf
    for packet in file.container.demux(file.stream):
        for frame in decoded(packet, notes):
            # FFmpeg 8 repeats parts of a FLAC file that follows another one in the same file.
            if file.container.format.name == "flac":
                if frame.time is None or frame.time < until - _TOUCH:
                    reason = "holds several FLAC files; those behind the first one were left out"
                    notes.remarks.append(reason)
                    return
                until = frame.time + frame.samples / frame.sample_rate
            yield frame


def _add_sound(cutter: Cutter, chunks: list[Chunk], form: Form, clock: Clock) -> bool:
    """Adds sound, ending segments at gaps; returns whether the rest cannot be placed."""
    for chunk in chunks:
        time, until = chunk[0] / form.audio_rate, cutter.sound_seconds()
        # Reading begins before the wanted part.
        step = clock.step(max(0.0, time - (until or cutter.seconds())), time)
        if step != "on":
            _add_last_places(cutter, form)
        if step == "end":
            return True
        if step == "gap":
            cutter.restart(math.ceil(time * form.fps))
        cutter.add_sound([chunk])
    return False


def _add_places(cutter: Cutter, until: int, form: Form) -> None:
    """Adds the missing frames, which a video would have, up to `until`."""
    count = until - round(cutter.seconds() * form.fps)
    cutter.add_frames(itertools.repeat(None, max(0, count)))


def _add_last_places(cutter: Cutter, form: Form) -> None:
    # Up to a thousandth of a frame is rounding; more is sound that needs a frame.
    _add_places(cutter, math.ceil(cutter.sound_seconds() * form.fps - 1e-3), form)


def _check_end(file: _Opened, path: Path, cutter: Cutter, notes: Notes) -> None:
    """Refuses a file that ends too early."""
    seconds = cutter.sound_seconds()
    if not cutter.any_frames():
        begin = cutter.seconds()
        reason = "holds no sound" if begin == 0 else f"has no sound at {begin:.1f} s"
        raise MediaError(path, notes.error or reason)
    guessed = file.container.format.name in _GUESSED
    promised = 0.0 if guessed else claimed_seconds(file.container)
    if is_short(seconds, promised):
        raise MediaError(path, f"is truncated: {seconds:.1f} of {promised:.1f} s can be decoded")
    promised = riff_seconds(path) or 0.0
    if is_short(seconds, promised):
        notes.remarks.append(f"has {seconds:.1f} of the {promised:.1f} s that its header promises")


def riff_seconds(path: Path) -> float | None:
    """Reads the length that a WAV file claims; FFmpeg does not report it for a truncated file.

    Args:
        path: a file.

    Returns:
        Seconds; None: it is not a WAV file, or does not say.
    """
    with path.open("rb") as file:
        name, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        rate = 0
        while (name, form) == (b"RIFF", b"WAVE"):
            chunk, size = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
            if chunk == b"fmt ":
                rate = int.from_bytes(file.read(size)[8:12], "little")  # bytes a second
            elif chunk == b"data":
                # A recorder that was interrupted leaves 0 or the largest number.
                return size / rate if rate and 0 < size < 0xFFFFFFFF - 64 else None
            elif not chunk.strip(b"\0"):
                return None
            else:
                file.seek(size, 1)
            file.seek(size % 2, 1)
    return None
