"""Opens users' media files: only real containers, and only local files."""

import contextlib
import functools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import av
from av.stream import Disposition

from vatt_gh.media.form import MediaError
from vatt_gh.media.notes import reason_of
from vatt_gh.media.sound import SoundCheck

# FFmpeg's names. Left out: playlists and scripts, which name other files and addresses.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,flac,mp3,"
    "aac,ac3,eac3,dts,aiff,au,caf,amr,mxf,nut,ivf,h264,hevc,m4v,rm,dv,gxf,swf,vc1,wv,ape,tta"
)
_STILL = ("mjpeg", "png", "bmp", "webp", "tiff", "gif")
NO_DECODER = "a codec that no decoder here knows"

Stream = TypeVar("Stream", bound=av.stream.Stream)


def open_media(path: Path | str) -> av.container.InputContainer:
    """Opens a media file.

    The path always means a local file, even if it looks like "concat:..." or "http:/...". The
    content cannot name other files: playlists are not accepted.

    Args:
        path: the file.

    Returns:
        The container.

    Raises:
        OSError, av.FFmpegError: there is no such file, or it is not a container.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    return av.open(f"file:{os.path.abspath(path)}", metadata_errors="ignore", options=options)


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[av.container.InputContainer]:
    """Opens a media file as `open_media` does; turns errors while it is open into MediaError."""
    try:
        with open_media(path) as container:
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, f"cannot be decoded: {reason_of(error)}") from error


def picture_stream(
    container: av.container.InputContainer, path: Path | str
) -> av.video.stream.VideoStream:
    """Chooses the video stream.

    Args:
        container: container of the file.
        path: the file, for messages.

    Returns:
        The default one, or the first. Cover pictures are excluded; codecs for still pictures
        come last.

    Raises:
        MediaError: no stream can be decoded.
    """
    found = container.streams.video
    moving = [s for s in found if not s.disposition & Disposition.attached_pic]
    known = _known(moving)
    if not known:
        if moving:
            raise MediaError(path, f"its pictures are in {NO_DECODER}")
        raise MediaError(
            path, "has a cover picture and no video" if found else "has no video stream"
        )
    return min(known, key=lambda stream: stream.codec_context.name in _STILL)


def sound_stream(
    container: av.container.InputContainer, path: Path | str
) -> tuple[av.audio.stream.AudioStream | None, str | None]:
    """Chooses the sound stream.

    Args:
        container: container of the file.
        path: the file.

    Returns:
        The default decodable one, or the first, unless it is constant and another is not; None:
        there is none. And a remark on it, or None.
    """
    known = _known(container.streams.audio)
    if not known:
        left_out = f"its sound is in {NO_DECODER}, and was left out"
        return None, left_out if container.streams.audio else None
    if len(known) > 1:
        status = os.stat(path)
        name = os.path.abspath(path)
        for stream in known:
            if _sounds(name, (status.st_size, status.st_mtime_ns), stream.index):
                return stream, None
    return known[0], None


def _known(streams: Iterable[Stream]) -> list[Stream]:
    """Lists the streams with a decoder, the default ones first."""
    known = [stream for stream in streams if stream.codec_context is not None]
    return sorted(known, key=lambda stream: not stream.disposition & Disposition.default)


@functools.lru_cache(1024)
def _sounds(path: str, state: tuple[int, int], index: int) -> bool:
    """Tells whether a sound stream is not constant; `state` tells versions of the file apart."""
    check = SoundCheck()
    try:
        with open_media(path) as container:
            for packet in container.demux(container.streams[index]):
                for frame in packet.decode():
                    check.take(frame)
                    if not check.constant():
                        return True
    except (av.FFmpegError, ValueError):
        pass  # whoever reads it will report the error
    return False


def promised_seconds(stream: av.stream.Stream) -> float | None:
    """Reads the length of a stream according to its file, in seconds; None: it does not say."""
    # Matroska's tags: FFmpeg gives the first stream the length of the whole file.
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match:
        return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    if stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def claimed_seconds(container: av.container.InputContainer) -> float:
    """Reads the length of a file according to its header, in seconds; 0: it does not say."""
    return (container.duration or 0) / av.time_base


def is_short(seconds: float, promised: float) -> bool:
    """Tells whether the decoded length is so far below the promise that data must be missing."""
    return promised > seconds + 2.0 and seconds < 0.9 * promised
