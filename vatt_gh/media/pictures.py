"""Source frames to frames at a constant rate: upright, of square pixels, of one size."""

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
    """A picture as JPEG has it inside: full-range BT.601, colours at half the resolution.

    Attributes:
        luma: [H, W] uint8.
        blue, red: [ceil(H / 2), ceil(W / 2)] uint8, colour differences.
    """

    luma: np.ndarray
    blue: np.ndarray
    red: np.ndarray

    def jpeg(self, quality: int) -> bytes:
        """The picture as a JPEG image; nothing is converted to RGB and back on the way."""
        return simplejpeg.encode_jpeg_yuv_planes(*self, quality=quality)


def from_jpeg(image: bytes) -> np.ndarray:
    """Decodes a JPEG image.

    Args:
        image: whole, of `Planes.jpeg`.

    Returns:
        [H, W, 3] uint8, RGB.

    Raises:
        ValueError: it is no JPEG image.
    """
    return simplejpeg.decode_jpeg(image)


class Scaler:
    """Scales frames of one video; all come out in the size that the first one asks for.

    Args:
        short_side: pixels of the shorter side.
        pixel_aspect: width by height of a source pixel.
    """

    def __init__(self, short_side: int, pixel_aspect: float):
        self._short, self._aspect = short_side, pixel_aspect
        # One for all frames: it keeps the scaler, which takes longer to set up than to run.
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._turns = 0

    def planes(self, frame: av.VideoFrame) -> Planes:
        """A frame as planes, which costs a third of what RGB does."""
        scaled = self._scaled(frame, "yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
        return Planes(*(self._upright(pixels_of(plane, 1)) for plane in scaled.planes))

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """A frame as [H, W, 3] uint8."""
        (plane,) = self._scaled(frame, "rgb24").planes
        return self._upright(pixels_of(plane, 3))

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Height and width of what comes out."""
        width, height = self._fix(frame)
        return (width, height) if self._turns % 2 else (height, width)

    def _fix(self, frame: av.VideoFrame) -> tuple[int, int]:
        if self._size is None:
            wide, height = frame.width * self._aspect, frame.height
            scale = self._short / min(wide, height)
            size = [max(self._short, round(side * scale / 2) * 2) for side in (wide, height)]
            size[0 if wide <= height else 1] = self._short
            self._size = (size[0], size[1])
            # numpy turns counterclockwise, as the angle of a frame does.
            self._turns = round(frame.rotation / 90) % 4
        return self._size

    def _scaled(self, frame: av.VideoFrame, pixel_format: str, **colours: str) -> av.VideoFrame:
        return self._reformatter.reformat(
            frame, *self._fix(frame), pixel_format, interpolation="BILINEAR", threads=1, **colours
        )

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(pixels, self._turns))


def pixels_of(plane: av.video.plane.VideoPlane, channels: int) -> np.ndarray:
    """A frame's plane as an array, not copied: [H, W] uint8, [H, W, channels] of several."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    pixels = rows[:, : plane.width * channels]
    return pixels if channels == 1 else pixels.reshape(plane.height, plane.width, channels)


class AviPlaces:
    """When the frames of an AVI file are shown.

    AVI has no time stamps but the places of packets. Where a decoder holds frames back, FFmpeg
    guesses when they are shown: a frame too late, and out of order for H.264 with B-frames. They
    are shown in the order in which they come out, from the place of the first packet on.
    """

    def __init__(self) -> None:
        self._first: int | None = None  # place of the first packet
        self._held: int | None = None  # how many places its frame comes later

    def learn(self, packets: Iterable[av.Packet]) -> None:
        """Decodes from the beginning of the file until it is clear how much is held back.

        Elsewhere it is not: of the frames between two key frames some may need the first one.
        """
        for packet in packets:
            self.take(packet)
            for frame in packet.decode():
                self.correct(frame)
                return

    def take(self, packet: av.Packet) -> None:
        """Takes a packet of pictures before it is decoded."""
        if self._first is None and packet.size:
            self._first = packet.dts

    def correct(self, frame: av.VideoFrame) -> None:
        """Sets a frame's time stamp; None, which is "at once", for those left at the end."""
        if frame.dts is not None and self._held is None:
            self._held = frame.dts - (self._first or 0)
        frame.pts = None if frame.dts is None else frame.dts - (self._held or 0)


class Sampler(Generic[Picture]):
    """Source frames at any times to pictures at a constant rate.

    Args:
        fps: pictures a second.
        make: makes a picture of a source frame; called once for each one that is needed.
        first: number of the first picture wanted; picture k is shown at k / fps.
    """

    def __init__(self, fps: float, make: Callable[[av.VideoFrame], Picture], first: int = 0):
        self._fps, self._make = fps, make
        self._next = first
        self._shown: av.VideoFrame | None = None
        self._made: Picture | None = None
        self._until = 0.0

    def take(self, frame: av.VideoFrame, zero: float) -> Iterator[Picture]:
        """Takes the next source frame; gives out the pictures that are due before it is shown.

        Args:
            frame: decoded.
            zero: the video's beginning in its own time stamps, in seconds.

        Yields:
            Pictures in order.
        """
        time = self._until if frame.time is None else frame.time - zero
        duration = float((frame.duration or 0) * (frame.time_base or Fraction(0)))
        if self._shown is not None:  # what comes before the first frame shows the first frame
            yield from self._fill(time - TINY)
        self._shown, self._made = frame, None
        self._until = max(self._until, time + (duration or 1.0 / self._fps))

    def finish(self) -> Iterator[Picture]:
        """Gives out the pictures up to the end of the last source frame."""
        if self._shown is not None:
            yield from self._fill(self._until - 0.5 / self._fps)

    def _fill(self, until: float) -> Iterator[Picture]:
        while self._next / self._fps < until:
            if self._made is None:
                self._made = self._make(self._shown)
            yield self._made
            self._next += 1
