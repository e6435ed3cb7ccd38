"""What is to be said of a file that is read, beside what is in it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import av

from vatt_gh.media.sound import SoundCheck

# s; behind it a record's start, float32, would be wrong by more than a hundredth of a second.
_LATEST = 200_000.0


class Notes:
    """What reading a file brings to light.

    Attributes:
        sound: whether its sound is sound.
        remarks: sentences about what of it could not be used.
        error: the first thing that a decoder said, or None.
    """

    def __init__(self) -> None:
        self.sound = SoundCheck()
        self.remarks: list[str] = []
        self.error: str | None = None
        self._packets: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._begun: set[str] = set()

    def took(self, kind: str) -> None:
        """Counts a packet of a kind of stream that gave a frame."""
        self._packets[kind] += 1
        self._begun.add(kind)

    def broke(self, kind: str, error: Exception) -> None:
        """Counts a packet that could not be decoded.

        Before the first frame it is none: what is cut out of a broadcast begins anywhere.
        """
        self.error = self.error or f"cannot be decoded: {reason_of(error)}"
        self._broken[kind] += kind in self._begun

    def damage(self, kind: str, share: float) -> str | None:
        """Says how much of a stream is damaged.

        Args:
            kind: "video" or "audio".
            share: of its packets that may be; one always may.

        Returns:
            Why it cannot be used; None: it can.
        """
        broken, count = self._broken[kind], self._packets[kind] + self._broken[kind]
        if not broken:
            return None
        counted = f"{broken} of {count} packets cannot be decoded"
        if broken > max(1, share * count):
            return f"is damaged: {counted}"
        what = {"video": "its pictures are", "audio": "its sound is"}[kind]
        self.remarks.append(f"{what} damaged in places: {counted}, and were skipped")
        return None


def decoded(packet: av.Packet, notes: Notes) -> Iterator[Any]:
    """The frames of a packet; one that is damaged has none.

    Args:
        packet: of a stream.
        notes: count it.

    Yields:
        Frames.
    """
    kind = packet.stream.type
    try:
        frames = packet.decode()
    except av.EOFError:
        return
    except (av.FFmpegError, ValueError) as error:
        notes.broke(kind, error)
        return
    for frame in frames:
        notes.took(kind)
        yield frame


def reason_of(error: Exception) -> str:
    """What went wrong, in words, without addresses and numbers of a library."""
    return getattr(error, "strerror", None) or str(error)


class Clock(NamedTuple):
    """What the clock of a file does from one picture, or piece of sound, to the next.

    Attributes:
        what: "picture" or "sound".
        gap: seconds between them.
        time: of the later one, in seconds of the video.
        longest: gap that is none, in seconds.
    """

    what: str
    gap: float
    time: float
    longest: float

    @property
    def ends(self) -> bool:
        """Whether nothing that follows can be placed."""
        return self.gap < -self.longest or self.time > _LATEST

    @property
    def remark(self) -> str | None:
        """What is to be said of it; None: it goes on as it should."""
        if self.gap < -self.longest:
            what = f"jumps back by {-self.gap:.1f} s to {self.time:.1f} s"
            return f"its clock {what}; what follows was left out"
        if self.time > _LATEST:
            return f"its clock jumps to {self.time:.4g} s; what follows was left out"
        if self.gap > self.longest:
            return f"has no {self.what} for {self.gap:.1f} s until {self.time:.1f} s: not filled"
        return None
