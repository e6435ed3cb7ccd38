"""Sound at a constant rate with its position in time, checks of it, and its lossless form."""

import io
import re
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np

# Layouts without channel positions: FFmpeg does not mix them, or guesses.
_UNPLACED = re.compile(r"\d+ channels|ambisonic")
_GAP = 0.1  # s between sound and its time stamp; less is inaccuracy
_DRIFT = 0.5  # s; containers without exact time stamps drift by less
_BEHIND = 1.0  # s by which sound may overlap earlier sound; it then replaces it

_LOUDEST = 4.0  # times full scale; lossy codecs go a little above one, other data far above
_SHORTEST = 0.9  # share of the video's length; longer sound needs no remark
_MISSING = 2.0  # s; if less is missing, there is no remark

Chunk = tuple[int, np.ndarray]  # position of the first sample, samples [n] int16


class SoundCheck:
    """Checks whether the sound of a file is usable.

    Attributes:
        end: end of the sound, in seconds of the video.
        damage: why it is too damaged, or None.
    """

    def __init__(self) -> None:
        self.end = 0.0
        self.damage: str | None = None
        self._low, self._high = np.inf, -np.inf
        self._broken: str | None = None

    def take(self, frame: av.AudioFrame) -> None:
        """Checks a source frame."""
        kind = np.dtype(_SAMPLE_TYPES.get(frame.format.packed.name, np.uint8))
        # A plane may have uninitialised bytes after its samples.
        count = frame.samples * (1 if frame.format.is_planar else frame.layout.nb_channels)
        for plane in frame.planes:
            values = np.frombuffer(plane, kind, count)
            low, high = float(values.min()), float(values.max())
            self._low, self._high = min(self._low, low), max(self._high, high)
            if kind.kind == "f" and self._broken is None:
                if not np.isfinite(low + high):
                    self._broken = "holds values that are no numbers"
                elif max(-low, high) > _LOUDEST:
                    self._broken = f"reaches {max(-low, high):.3g} times the loudest sound"

    def constant(self) -> bool:
        """Tells whether all samples are equal, or there are none."""
        return not self._low < self._high

    def problem(self) -> str | None:
        """Tells why the sound cannot be used; None: it can."""
        if self._broken is None and self.damage is None and self.constant():
            return "its sound is constant and was left out"
        broken = self._broken or self.damage
        return broken and f"its sound {broken} and was left out"

    def remark(self, seconds: float) -> str | None:
        """Returns a remark on usable sound that ends long before its video, or None."""
        if seconds - self.end > _MISSING and self.end < _SHORTEST * seconds:
            return f"its sound ends after {self.end:.1f} of {seconds:.1f} s; then there is silence"
        return None


_SAMPLE_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64}
_SAMPLE_TYPES |= {"flt": np.float32, "dbl": np.float64}


class Resampler:
    """Converts source audio frames to mono int16 at a constant rate.

    A source may change its rate, its channels and its format at any frame. Channels without
    positions, or too many for FFmpeg, are averaged.

    Args:
        rate: samples a second.
        stamped: whether the file's time stamps are meaningful.

    Attributes:
        behind: seconds of sound that were left out because its clock had gone back.
    """

    def __init__(self, rate: int, stamped: bool = True):
        self.behind = 0.0
        self._rate, self._stamped = rate, stamped
        self._resampler: av.AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        self._averages = False
        self._place = 0
        self._until = 0.0

    def take(self, frame: av.AudioFrame, zero: float) -> list[Chunk]:
        """Resamples a source frame.

        Args:
            frame: the decoded frame.
            zero: the video's beginning in its own time stamps, in seconds.

        Returns:
            The samples that are ready.
        """
        out = []
        time = self._until if frame.time is None else frame.time - zero
        layout = frame.layout.name
        source = (frame.format.name, layout, frame.sample_rate)
        off = time - self._until if self._stamped else 0.0
        if self._resampler is not None and off < -_BEHIND:
            self.behind += frame.samples / frame.sample_rate
            return out
        gap = self._resampler is None or off > _GAP or off < -_DRIFT
        if gap or source != self._source:
            out = self.finish()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=self._rate)
            self._until = time if gap else self._until
            self._place, self._source = round(self._until * self._rate), source
            self._averages = _UNPLACED.match(layout) is not None
        self._until += frame.samples / frame.sample_rate
        if self._averages:
            frame = _to_mono(frame)
        frame.pts = None  # bad time stamps must not stop the resampler; order is enough
        return out + self._placed(self._resampler.resample(frame))

    def finish(self) -> list[Chunk]:
        """Returns what the resampler still holds."""
        held = [] if self._resampler is None else self._placed(self._resampler.resample(None))
        self._resampler = None
        return held

    def _placed(self, frames: list[av.AudioFrame]) -> list[Chunk]:
        out = []
        for frame in frames:
            samples = np.frombuffer(frame.planes[0], np.int16, frame.samples)
            out.append((self._place, samples))
            self._place += len(samples)
        return out


def _to_mono(frame: av.AudioFrame) -> av.AudioFrame:
    """Averages a frame's channels into a mono frame."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    mean = values.mean(axis=0, dtype=np.float64, keepdims=True)
    if values.dtype.kind != "f":
        limits = np.iinfo(values.dtype)
        middle = (limits.max + limits.min + 1) / 2
        mean = (mean - middle) / (limits.max - middle + 1)
    mono = av.AudioFrame.from_ndarray(mean.astype(np.float32), format="flt", layout="mono")
    mono.sample_rate = frame.sample_rate
    return mono


def place(chunks: Iterable[Chunk], start: int, end: int) -> np.ndarray:
    """Puts chunks of sound at their positions.

    Args:
        chunks: chunks with their positions.
        start, end: the wanted samples, counted like the positions.

    Returns:
        [end - start] int16; silence where there is no chunk.
    """
    audio = np.zeros(end - start, np.int16)
    for first, samples in chunks:
        low, high = max(first, start), min(first + len(samples), end)
        if low < high:
            audio[low - start : high - start] = samples[low - first : high - first]
    return audio


def to_flac(audio: np.ndarray, rate: int) -> bytes:
    """Compresses sound losslessly to about half of its bytes.

    Args:
        audio: [n] int16 mono.
        rate: samples a second.

    Returns:
        An mp4 file with FLAC inside: unlike a plain FLAC file it has an index of its blocks.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono", format="s16")
        stream.codec_context.thread_count = 1
        if len(audio):
            frame = av.AudioFrame.from_ndarray(audio[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def from_flac(data: bytes, first: int, count: int) -> np.ndarray:
    """Decodes a stretch of a file from `to_flac`.

    Args:
        data: the mp4 file.
        first: position of the first wanted sample.
        count: number of samples.

    Returns:
        [count] int16; zeros past the end.

    Raises:
        av.FFmpegError: the bytes are damaged.
    """
    chunks: list[Chunk] = []
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        rate = Fraction(stream.codec_context.sample_rate)
        container.seek(int(first / rate / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            begin = int(frame.pts * stream.time_base * rate)
            chunks.append((begin, np.frombuffer(frame.planes[0], np.int16, frame.samples)))
            if begin + frame.samples >= first + count:
                break
        return place(chunks, first, first + count)
