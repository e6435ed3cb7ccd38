"""Source frames to frames at a constant rate: upright, of square pixels, of one size."""

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
    """Scales frames of one video; all come out in one size.

    A frame of another shape keeps it: what it does not fill is black.

    Args:
        short_side: pixels of the shorter side, or more than there are.
        pixel_aspect: width by height of a source pixel.
        size: height and width that come out; None: those of the first frame.
    """

    def __init__(self, short_side: int, pixel_aspect: float, size: tuple[int, int] | None = None):
        self._short, self._aspect, self._wanted = short_side, pixel_aspect, size
        # One for all frames: it keeps the scaler, which takes longer to set up than to run.
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._fitting: dict[tuple[int, int], tuple[int, int]] = {}  # by the size of a source frame
        self._turns = 0

    def planes(self, frame: av.VideoFrame) -> Planes:
        """A frame as planes, which costs a third of what RGB does."""
        scaled = self._scaled(frame, "yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
        width, height = self._fix(frame)
        colours = ((height + 1) // 2, (width + 1) // 2), 128, 1
        frames = ((height, width), 0, 2), colours, colours
        parts = zip(scaled.planes, frames, strict=True)
        return Planes(*(self._upright(_framed(pixels_of(p, 1), *rest)) for p, rest in parts))

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """A frame as [H, W, 3] uint8."""
        (plane,) = self._scaled(frame, "rgb24").planes
        width, height = self._fix(frame)
        return self._upright(_framed(pixels_of(plane, 3), (height, width), 0, 2))

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Height and width of what comes out."""
        width, height = self._fix(frame)
        return (width, height) if self._turns % 2 else (height, width)

    def _fix(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Width and height that come out, before they are turned."""
        if self._size is None:
            # numpy turns counterclockwise, as the angle of a frame does.
            self._turns = round(frame.rotation / 90) % 4
            height, width = self._wanted or (0, 0)
            wanted = (height, width) if self._turns % 2 else (width, height)
            self._size = wanted if self._wanted else self._own(frame)
        return self._size

    def _own(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Width and height of a frame that stands alone."""
        wide, height = frame.width * self._aspect, frame.height
        # A smaller picture is not blown up: what reads it scales it anyway.
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
        """Width and height of a frame within those that come out."""
        size = self._fix(frame)
        if all(abs(one - other) <= 2 for one, other in zip(self._own(frame), size, strict=True)):
            return size
        wide = frame.width * self._aspect
        scale = min(size[0] / wide, size[1] / frame.height)
        fitting = [max(2, round(side * scale / 2) * 2) for side in (wide, frame.height)]
        # What rounding alone makes smaller than the whole is the whole.
        width, height = (w if w - f <= 2 else f for w, f in zip(size, fitting, strict=True))
        return width, height

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(pixels, self._turns))


def _framed(pixels: np.ndarray, shape: tuple[int, int], black: int, step: int) -> np.ndarray:
    """Pixels [h, w, ...] in the middle of black ones [*shape, ...], at a multiple of `step`."""
    if pixels.shape[:2] == shape:
        return pixels
    whole = np.full((*shape, *pixels.shape[2:]), black, np.uint8)
    sizes = zip(shape, pixels.shape[:2], strict=True)
    places = [(((full - part) // 2) // step * step, part) for full, part in sizes]
    whole[tuple(slice(first, first + part) for first, part in places)] = pixels
    return whole


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
        self._since = self._until = 0.0  # when the shown frame begins; when all of them end

    def time(self, frame: av.VideoFrame, zero: float) -> float:
        """When a source frame is shown, in seconds of the video.

        Args:
            frame: decoded.
            zero: the video's beginning in its own time stamps, in seconds.
        """
        return self._until if frame.time is None else frame.time - zero

    def gap(self, time: float) -> float:
        """Seconds from the frame that was taken last, or from the first picture wanted."""
        if self._shown is None:  # reading begins at a key frame, which may be long before
            return max(0.0, time - self._next / self._fps)
        return time - self._since

    def restart(self, time: float) -> int:
        """Begins anew behind a gap.

        Args:
            time: when the next frame is shown, in seconds.

        Returns:
            The number of the first picture from there on.
        """
        self._shown, self._made = None, None
        self._next = max(self._next, math.ceil((time - TINY) * self._fps))
        return self._next

    def take(self, frame: av.VideoFrame, zero: float) -> Iterator[Picture]:
        """Takes the next source frame; gives out the pictures that are due before it is shown.

        Args:
            frame: decoded.
            zero: see `time`.

        Yields:
            Pictures in order.
        """
        time = self.time(frame, zero)
        duration = float((frame.duration or 0) * (frame.time_base or Fraction(0)))
        if self._shown is not None:  # what comes before the first frame shows the first frame
            yield from self._fill(time - TINY)
        self._shown, self._made, self._since = frame, None, time
        self._until = max(self._until, time + (duration or 1.0 / self._fps))

    def claimed(self) -> float:
        """When the last source frame ends, as its file claims, in seconds of the video."""
        return self._until

    def finish(self, longest: float, heard: float = 0.0) -> Iterator[Picture]:
        """Gives out the pictures up to the end of the last source frame.

        Args:
            longest: seconds that it may last; a frame that claims more was shown for a moment, or
                as long as there is sound.
            heard: when that ends, in seconds of the video.
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
