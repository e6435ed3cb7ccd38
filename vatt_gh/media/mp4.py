"""Short mp4 files with frequent key frames, so that their windows are cheap to read."""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vatt_gh.media.pictures import Planes, pixels_of

KEY_FRAMES = 10  # frames from one key frame to the next
_ENCODER_OPTIONS = {"crf": "23", "preset": "veryfast", "tune": "fastdecode", "g": str(KEY_FRAMES)}
_MATRIX, _FULL_RANGE = 5, 2  # BT.470 B/G, the same as BT.601; values from 0 to 255


def to_mp4(pictures: Sequence[Planes]) -> bytes:
    """Encodes pictures as H.264.

    Args:
        pictures: pictures of one size, with even height and width.

    Returns:
        An mp4 file in which picture k has time stamp k.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1, options=_ENCODER_OPTIONS)
        context = stream.codec_context
        context.height, context.width = pictures[0].luma.shape
        context.pix_fmt, context.time_base, context.thread_count = "yuvj420p", Fraction(1), 1
        context.colorspace, context.color_range = _MATRIX, _FULL_RANGE
        for number, planes in enumerate(pictures):
            frame = av.VideoFrame(context.width, context.height, "yuvj420p")
            for plane, values in zip(frame.planes, planes, strict=True):
                pixels_of(plane, 1)[:] = values
            frame.pts, frame.time_base = number, Fraction(1)
            frame.colorspace, frame.color_range = _MATRIX, _FULL_RANGE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def from_mp4(data: bytes, first: int, count: int) -> Iterator[np.ndarray]:
    """Decodes some pictures of a file that `to_mp4` wrote.

    Args:
        data: the mp4 file.
        first: number of the first wanted picture.
        count: number of wanted pictures.

    Yields:
        At most `count` pictures, [H, W, 3] uint8 each; fewer at the end of the file.

    Raises:
        av.FFmpegError: the bytes are damaged.
    """
    reformatter = VideoReformatter()  # shared by all frames: it keeps its tables
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        container.seek(int(first / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            number = round(frame.pts * stream.time_base)
            if number >= first:
                (plane,) = reformatter.reformat(frame, format="rgb24", threads=1).planes
                yield pixels_of(plane, 3)
            if number + 1 >= first + count:
                break
