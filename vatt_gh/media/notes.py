"""What is to be said of a file that is read, beside what is in it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import av

from vatt_gh.media.sound import SoundCheck

# s; behind it a record's start, float32, would be wrong by more than a hundredth of a second.
_LATEST = 200_000.0
_BACK = 1.0  # s; time stamps of neighbours may be out of order by less
_PATIENCE = 5  # pictures behind their time that may be a fault of their own


class Notes:
    """What reading a file brings to light.

    Attributes:
        sound: whether its sound is sound.
        remarks: sentences about what of it could not be used.
        error: the first thing that a decoder said, or None.
        anywhere: whether reading may begin between key frames, where packets before the first one
            cannot be decoded and are not damaged.
    """

    def __init__(self) -> None:
        self.sound = SoundCheck()
        self.remarks: list[str] = []
        self.error: str | None = None
        self.anywhere = False
        self._packets: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._begun: set[str] = set()

    def took(self, kind: str) -> None:
        """Counts a packet of a kind of stream that gave a frame."""
        self._packets[kind] += 1
        self._begun.add(kind)

    def broke(self, kind: str, error: Exception) -> None:
        """Counts a packet that could not be decoded."""
        self.error = self.error or f"cannot be decoded: {reason_of(error)}"
        self._broken[kind] += kind in self._begun or not self.anywhere

    def left_behind(self, seconds: float) -> None:
        """Says how much sound was left out because its clock had gone back."""
        if seconds >= _BACK:
            what = f"{seconds:.1f} s of its sound lie behind their time, and were left out"
            self.remarks.append(what)

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


class Clock:
    """The clock of a file, from one picture, or piece of sound, to the next.

    Args:
        what: "picture" or "sound".
        longest: gap that is none, in seconds.
        notes: take what is to be said of it.
    """

    def __init__(self, what: str, longest: float, notes: Notes):
        self._what, self._longest, self._notes = what, longest, notes
        self._behind = 0

    def step(self, gap: float, time: float, heard: float = 0.0) -> str:
        """What a step of the clock means.

        Args:
            gap: seconds since the last one.
            time: of this one, in seconds of the video.
            heard: seconds of the gap that have sound: with it a picture that stands still is one.

        Returns:
            "on": it goes on as it should; "gap": nothing is there in between; "skip": this one is
            behind its time; "end": nothing that follows can be placed.
        """
        self._behind = self._behind + 1 if gap < -_BACK else 0
        if self._behind > _PATIENCE:
            return self._say(f"its clock goes back to {time:.1f} s; what follows was left out")
        if self._behind:
            return "skip"
        if time > _LATEST:
            return self._say(f"its clock jumps to {time:.4g} s; what follows was left out")
        if gap > self._longest and heard < gap / 2:
            what = f"has no {self._what} for {gap:.1f} s until {time:.1f} s: not filled"
            self._notes.remarks.append(what)
            return "gap"
        return "on"

    def _say(self, remark: str) -> str:
        self._notes.remarks.append(remark)
        return "end"
