"""Opens media files of users: nothing but real containers, from this machine's files alone."""

import functools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import av
from av.stream import Disposition

from vatt_gh.media.form import MediaError
from vatt_gh.media.sound import SoundCheck

# FFmpeg's names. Not among them: playlists and scripts, which name other files and addresses.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,flac,mp3,"
    "aac,ac3,eac3,dts,aiff,au,caf,amr,mxf,nut,ivf,h264,hevc,m4v,rm,dv,gxf,swf,vc1,wv,ape,tta"
)
_STILL = ("mjpeg", "png", "bmp", "webp", "tiff", "gif")
NO_DECODER = "a codec that no decoder here knows"

Stream = TypeVar("Stream", bound=av.stream.Stream)


def open_media(path: Path | str) -> av.container.InputContainer:
    """Opens a media file.

    Its name is that of a file, whatever it looks like ("concat:...", "http:/..."), and what is in
    it cannot name other files: the text of a playlist is no container.

    Args:
        path: the file.

    Returns:
        The container.

    Raises:
        OSError, av.FFmpegError: there is no such file, or it is no container.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    return av.open(f"file:{os.path.abspath(path)}", metadata_errors="ignore", options=options)


def picture_stream(
    container: av.container.InputContainer, path: Path | str
) -> av.video.stream.VideoStream:
    """The stream of moving pictures.

    Args:
        container: of the file.
        path: the file, for messages.

    Returns:
        The default one, or the first; a cover picture is none, and one of a codec for still
        pictures comes last.

    Raises:
        MediaError: there is none that can be decoded.
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
    """The sound stream.

    Args:
        container: of the file.
        path: the file.

    Returns:
        Of those that can be decoded the default one, or the first, unless it is constant and
        another is not; None: there is none. And what is to be said of it, or None.
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
    """Those with a decoder, the default ones first."""
    known = [stream for stream in streams if stream.codec_context is not None]
    return sorted(known, key=lambda stream: not stream.disposition & Disposition.default)


@functools.lru_cache(1024)
def _sounds(path: str, state: tuple[int, int], index: int) -> bool:
    """Whether a sound stream of a file, which `state` tells from later ones, is not constant."""
    check = SoundCheck()
    try:
        with open_media(path) as container:
            for packet in container.demux(container.streams[index]):
                for frame in packet.decode():
                    check.take(frame)
                    if not check.constant():
                        return True
    except (av.FFmpegError, ValueError):
        pass  # who reads it will say what is wrong
    return False


def promised_seconds(stream: av.stream.Stream) -> float | None:
    """How long a file claims that one of its streams is; None: it does not say."""
    # Matroska's statistics: FFmpeg gives the first stream the length of the whole.
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match:
        return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    if stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def is_short(seconds: float, promised: float) -> bool:
    """Whether what was decoded is so much shorter than promised that something must be missing."""
    return promised > seconds + 2.0 and seconds < 0.9 * promised
