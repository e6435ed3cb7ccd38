"""Finds out what a file holds and what storing it costs, without decoding all of it."""

import dataclasses
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import av

from vatt_gh.media.form import WHOLE, Form, MediaError, Span
from vatt_gh.media.notes import Notes, decoded
from vatt_gh.media.opening import claimed_seconds
from vatt_gh.media.sound_file import is_sound_file, sound_seconds
from vatt_gh.media.video import Opened, check_length, opened, read_segments

_DOUBTFUL = 3 * 3600.0  # s; in a file that claims more, all packets are read


@dataclasses.dataclass(frozen=True)
class Look:
    """A file whose beginning can be decoded and whose end exists.

    Attributes:
        span: the wanted part.
        seconds: length of that part.
        has_audio: whether it has a sound stream.
        remarks: remarks on data known to be left out.
    """

    span: Span
    seconds: float
    has_audio: bool
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Trial:
    """A stretch of a file that was stored, and discarded.

    Attributes:
        seconds: seconds of video.
        stored: bytes of frames and sound.
        cpu_seconds: CPU time; for a file that is stored whole, including its opening.
    """

    seconds: float
    stored: int
    cpu_seconds: float


def look(path: Path, span: Span, form: Form) -> Look | MediaError:
    """Opens a file, decodes its beginning, and looks for its end.

    Args:
        path: the file.
        span: the wanted part.
        form: how it would be stored.

    Returns:
        The result, or why it cannot be used. Damage in the middle and unusable sound go
        unnoticed.
    """
    try:
        if is_sound_file(path):
            return _look_at_sound(path, span)
        with opened(path, form) as file:
            notes = Notes()
            packets = file.container.demux(file.video)
            if next((f for packet in packets for f in decoded(packet, notes)), None) is None:
                raise MediaError(path, notes.error or "holds no frame")
            end = _end(file, path, form)
            gaps = _gaps(file, form, end)
            if end <= span.start:
                raise MediaError(path, f"has no frame at {span.start:.1f} s")
            short = check_length(file, path, end) if span.until > end else None
            remarks = tuple(remark for remark in (file.remark, short) if remark)
            seconds = min(span.until, end) - span.start - (gaps if span == WHOLE else 0.0)
            return Look(span, seconds, file.audio is not None, remarks)
    except MediaError as error:
        return error


def usable(paths: Sequence[str | Path]) -> tuple[Path, list[dict[str, str]]]:
    """Chooses one of several files with the same id or name.

    Args:
        paths: media files, the preferred ones first.

    Returns:
        The first that can be decoded, else the first; and rows {"path", "reason"} of the others.
    """
    first = Path(paths[0])
    errors: dict[Path, str] = {}
    for path in map(Path, paths if len(paths) > 1 else ()):
        found = look(path, WHOLE, Form())
        if not isinstance(found, MediaError):
            first = path
            break
        errors[path] = f"{found.reason}; "
    rows = [
        {"path": str(path), "reason": f"{errors.get(path, '')}has the same id as {first}"}
        for path in map(Path, paths)
        if path != first
    ]
    return first, rows


def _look_at_sound(path: Path, span: Span) -> Look:
    end = sound_seconds(path)
    if end <= span.start:
        raise MediaError(path, f"has no sound at {span.start:.1f} s")
    return Look(span, min(end, span.until) - span.start, True)


def _end(file: Opened, path: Path, form: Form) -> float:
    """Finds the end of the last picture, in seconds of the video: by its packet, not a header."""
    unit = file.video.time_base
    # Without a length in the header, far past any end: FFmpeg goes to the last key frame.
    seconds = claimed_seconds(file.container) or 1e6
    try:
        file.container.seek(int((seconds + file.zero) / unit), stream=file.video)
    except av.FFmpegError:  # no index: reads all packets, decodes none
        file.container.seek(0)
    ends = [
        # A picture without a duration lasts 1 / form.fps, as in a build; AVI files have empty
        # packets where nothing changes.
        (packet.pts + (packet.duration or 0)) * unit
        + (1 / form.fps if packet.size and not packet.duration else 0)
        for packet in file.container.demux(file.video)
        if packet.pts is not None
    ]
    if not ends:
        raise MediaError(path, "is truncated: nothing is where its end should be")
    return float(max(ends)) - file.zero


def _gaps(file: Opened, form: Form, end: float) -> float:
    """Sums the seconds without a picture, from the index, or for a long file from all packets."""
    unit = float(file.video.time_base)
    if file.container.format.name.startswith("mov"):
        times = [entry.timestamp * unit for entry in file.video.index_entries]
    elif end > _DOUBTFUL:
        file.container.seek(0)
        packets = (p for p in file.container.demux(file.video) if p.pts is not None and p.size)
        times = [packet.pts * unit for packet in packets]
    else:
        return 0.0
    steps = [later - earlier for earlier, later in pairwise([file.zero, *sorted(times)])]
    return sum(step for step in steps if step > form.longest_gap)


def trial(path: Path, found: Look, form: Form, longest: float) -> Trial | MediaError:
    """Stores a stretch from the middle of a file.

    Args:
        path: the file.
        found: the result of `look`.
        form: how to store it.
        longest: seconds to store; a shorter video is stored whole.

    Returns:
        The cost, or why the file cannot be used.
    """
    span, whole = found.span, found.seconds <= longest
    try:
        if not whole:
            start = span.start + (found.seconds - longest) / 2
            span = Span(start, start + longest)
            # The cost of reaching the middle: a whole file pays it once.
            _, _, lead = _store(path, form, Span(start, start + 1 / form.fps))
        seconds, stored, cpu = _store(path, form, span)
    except MediaError as error:
        return error
    return Trial(seconds, stored, cpu if whole else max(cpu - lead, cpu / 2))


def _store(path: Path, form: Form, span: Span) -> tuple[float, int, float]:
    """Stores a stretch; returns seconds of video, bytes and CPU-seconds."""
    begin = time.process_time()
    seconds, stored = 0.0, 0
    for segment in read_segments(path, form, span=span):
        seconds += segment.end - segment.start
        stored += segment.nbytes()
    return seconds, stored, time.process_time() - begin
