"""Turns source frames into frames at a constant rate: upright, square pixels, one size."""

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

import av
import numpy as np
import simplejpeg
from av.video.reformatter import VideoReformatter

TINY = 1e-4  # s; time stamps are rounded to their time base

Picture = TypeVar("Picture")


class Planes(NamedTuple):
    """A picture in JPEG's own format: full-range BT.601, colours at half the resolution.

    Attributes:
        luma: [H, W] uint8.
        blue, red: [ceil(H / 2), ceil(W / 2)] uint8, colour differences.
    """

    luma: np.ndarray
    blue: np.ndarray
    red: np.ndarray

    def jpeg(self, quality: int) -> bytes:
        """Encodes the picture as JPEG, without a detour through RGB."""
        return simplejpeg.encode_jpeg_yuv_planes(*self, quality=quality)


def from_jpeg(image: bytes) -> np.ndarray:
    """Decodes a JPEG image.

    Args:
        image: a whole image from `Planes.jpeg`.

    Returns:
        [H, W, 3] uint8, RGB.

    Raises:
        ValueError: it is not a JPEG image.
    """
    return simplejpeg.decode_jpeg(image)


class Scaler:
    """Scales the frames of one video to one size.

    A frame of another shape keeps its aspect ratio; the rest is black.

    Args:
        short_side: pixels of the shorter side; smaller frames are not enlarged.
        pixel_aspect: width / height of a source pixel.
        size: output height and width; None: those of the first frame.
    """

    def __init__(self, short_side: int, pixel_aspect: float, size: tuple[int, int] | None = None):
        self._short, self._aspect, self._wanted = short_side, pixel_aspect, size
        # One for all frames: setting up the scaler takes longer than running it.
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._fitting: dict[tuple[int, int], tuple[int, int]] = {}  # by source frame size
        self._turns = 0

    def planes(self, frame: av.VideoFrame) -> Planes:
        """Converts a frame to planes, at a third of the cost of RGB."""
        scaled = self._scaled(frame, "yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
        width, height = self._fix(frame)
        colours = ((height + 1) // 2, (width + 1) // 2), 128, 1
        frames = ((height, width), 0, 2), colours, colours
        parts = zip(scaled.planes, frames, strict=True)
        return Planes(*(self._upright(_framed(pixels_of(p, 1), *rest)) for p, rest in parts))

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Converts a frame to [H, W, 3] uint8."""
        (plane,) = self._scaled(frame, "rgb24").planes
        width, height = self._fix(frame)
        return self._upright(_framed(pixels_of(plane, 3), (height, width), 0, 2))

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Returns the output height and width."""
        width, height = self._fix(frame)
        return (width, height) if self._turns % 2 else (height, width)

    def _fix(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Returns the output width and height before the rotation."""
        if self._size is None:
            # numpy and a frame's angle both turn counterclockwise.
            self._turns = round(frame.rotation / 90) % 4
            if self._wanted is None:
                self._size = self._size_of(frame)
            else:
                self._size = self._wanted if self._turns % 2 else self._wanted[::-1]
        return self._size

    def _size_of(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Returns the output width and height for this frame alone."""
        wide, height = frame.width * self._aspect, frame.height
        # Do not enlarge a smaller picture: its reader scales it anyway.
        short = min(self._short, max(2, round(min(wide, height) / 2) * 2))
        scale = short / min(wide, height)
        size = [max(short, round(side * scale / 2) * 2) for side in (wide, height)]
        size[0 if wide <= height else 1] = short
        return size[0], size[1]

    def _scaled(self, frame: av.VideoFrame, pixel_format: str, **colours: str) -> av.VideoFrame:
        source = frame.width, frame.height
        if source not in self._fitting:
            self._fitting[source] = self._fit(frame)
        size = self._fitting[source]
        return self._reformatter.reformat(
            frame, *size, pixel_format, interpolation="BILINEAR", threads=1, **colours
        )

    def _fit(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Computes width and height of a frame inside the output size."""
        size, alone = self._fix(frame), self._size_of(frame)
        if all(abs(one - other) <= 2 for one, other in zip(alone, size, strict=True)):
            return size
        wide = frame.width * self._aspect
        scale = min(size[0] / wide, size[1] / frame.height)
        fitting = [max(2, round(side * scale / 2) * 2) for side in (wide, frame.height)]
        # Sizes that differ by rounding alone become the full size.
        width, height = (w if w - f <= 2 else f for w, f in zip(size, fitting, strict=True))
        return width, height

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(pixels, self._turns))


def _framed(pixels: np.ndarray, shape: tuple[int, int], black: int, step: int) -> np.ndarray:
    """Centres pixels [h, w, ...] on black ones [*shape, ...], at a multiple of `step`."""
    if pixels.shape[:2] == shape:
        return pixels
    whole = np.full((*shape, *pixels.shape[2:]), black, np.uint8)
    sizes = zip(shape, pixels.shape[:2], strict=True)
    places = [(((full - part) // 2) // step * step, part) for full, part in sizes]
    whole[tuple(slice(first, first + part) for first, part in places)] = pixels
    return whole


def pixels_of(plane: av.video.plane.VideoPlane, channels: int) -> np.ndarray:
    """Views a frame's plane as an array: [H, W] uint8, or [H, W, channels] if there are several."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    pixels = rows[:, : plane.width * channels]
    return pixels if channels == 1 else pixels.reshape(plane.height, plane.width, channels)


class AviPlaces:
    """Corrects the display times of an AVI file's frames.

    AVI has no time stamps, only positions of packets. Where a decoder delays frames, FFmpeg
    guesses their times: one frame too late, and out of order for H.264 with B-frames. Here they
    are shown in the order of decoder output, starting at the position of the first packet.
    """

    def __init__(self) -> None:
        self._first: int | None = None  # position of the first packet
        self._held: int | None = None  # delay of its frame, in positions

    def learn(self, packets: Iterable[av.Packet]) -> None:
        """Decodes from the beginning of the file until the delay is known.

        It cannot be learned elsewhere: frames after a seek may need an earlier key frame.
        """
        for packet in packets:
            self.take(packet)
            for frame in packet.decode():
                self.correct(frame)
                return

    def take(self, packet: av.Packet) -> None:
        """Takes a packet of the video stream before it is decoded."""
        if self._first is None and packet.size:
            self._first = packet.dts

    def correct(self, frame: av.VideoFrame) -> None:
        """Sets a frame's time stamp; None, meaning "at once", for those left at the end."""
        if frame.dts is not None and self._held is None:
            self._held = frame.dts - (self._first or 0)
        frame.pts = None if frame.dts is None else frame.dts - (self._held or 0)


class Sampler(Generic[Picture]):
    """Turns source frames at any times into pictures at a constant rate.

    Args:
        fps: pictures a second.
        make: turns a source frame into a picture; called once for each one that is needed.
        first: number of the first wanted picture; picture k is shown at k / fps.
    """

    def __init__(self, fps: float, make: Callable[[av.VideoFrame], Picture], first: int = 0):
        self._fps, self._make = fps, make
        self._next = first
        self._shown: av.VideoFrame | None = None
        self._made: Picture | None = None
        self._since = self._until = 0.0  # start of the shown frame; end of all frames

    def time(self, frame: av.VideoFrame, zero: float) -> float:
        """Returns the display time of a source frame, in seconds of the video.

        Args:
            frame: the decoded frame.
            zero: the video's beginning in its own time stamps, in seconds.
        """
        return self._until if frame.time is None else frame.time - zero

    def gap(self, time: float) -> float:
        """Returns the seconds since the last frame taken, or since the first wanted picture."""
        if self._shown is None:  # reading begins at a key frame, perhaps long before
            return max(0.0, time - self._next / self._fps)
        return time - self._since

    def restart(self, time: float) -> int:
        """Starts again after a gap.

        Args:
            time: display time of the next frame, in seconds.

        Returns:
            The number of the first picture after the gap.
        """
        self._shown, self._made = None, None
        self._next = max(self._next, math.ceil((time - TINY) * self._fps))
        return self._next

    def take(self, frame: av.VideoFrame, zero: float) -> Iterator[Picture]:
        """Takes the next source frame; yields the pictures due before it.

        Args:
            frame: the decoded frame.
            zero: see `time`.

        Yields:
            Pictures in order.
        """
        time = self.time(frame, zero)
        duration = float((frame.duration or 0) * (frame.time_base or Fraction(0)))
        if self._shown is not None:  # times before the first frame show the first frame
            yield from self._fill(time - TINY)
        self._shown, self._made, self._since = frame, None, time
        self._until = max(self._until, time + (duration or 1.0 / self._fps))

    def claimed(self) -> float:
        """Returns the last source frame's end according to its file, in seconds of the video."""
        return self._until

    def finish(self, longest: float, heard: float = 0.0) -> Iterator[Picture]:
        """Yields the pictures up to the end of the last source frame.

        Args:
            longest: seconds it may last; a frame that claims more is shown for one picture, or as
                long as there is sound.
            heard: end of the sound, in seconds of the video.
        """
        if self._shown is not None:
            until = self._until
            if until - self._since > longest:
                until = min(until, max(heard, self._since + 1.0 / self._fps))
            yield from self._fill(until - 0.5 / self._fps)

    def _fill(self, until: float) -> Iterator[Picture]:
        while self._next / self._fps < until:
            if self._made is None:
                self._made = self._make(self._shown)
            yield self._made
            self._next += 1
