"""Notes on a file that is read: remarks, errors and damage."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import av

from vatt_gh.media.sound import SoundCheck

# s; beyond it a record's start, float32, would be wrong by more than a hundredth of a second.
_LATEST = 200_000.0
_BACK = 1.0  # s; neighbouring time stamps may be out of order by less
_MOST_LATE = 5  # late pictures in a row that are merely skipped


class Notes:
    """Problems found while reading a file.

    Attributes:
        sound: the check of its sound.
        remarks: sentences about what could not be used.
        error: the first decoder error, or None.
        anywhere: whether reading may begin between key frames; then undecodable packets before
            the first key frame are not damage.
    """

    def __init__(self) -> None:
        self.sound = SoundCheck()
        self.remarks: list[str] = []
        self.error: str | None = None
        self.anywhere = False
        self._packets: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()

    def took(self, kind: str) -> None:
        """Counts a frame that a kind of stream gave."""
        self._packets[kind] += 1

    def broke(self, kind: str, error: Exception) -> None:
        """Counts a packet that could not be decoded."""
        self.error = self.error or f"cannot be decoded: {reason_of(error)}"
        self._broken[kind] += self._packets[kind] > 0 or not self.anywhere

    def left_behind(self, seconds: float) -> None:
        """Adds a remark on sound that was left out because its clock had gone back."""
        if seconds >= _BACK:
            what = f"{seconds:.1f} s of its sound lie behind their time, and were left out"
            self.remarks.append(what)

    def damage(self, kind: str, share: float) -> str | None:
        """Judges how much of a stream is damaged.

        Args:
            kind: "video" or "audio".
            share: share of its packets that may be damaged; one always may.

        Returns:
            Why the stream cannot be used; None: it can.
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
    """Decodes a packet; a damaged one gives no frames.

    Args:
        packet: packet of a stream.
        notes: count its frames and errors.

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
    """Describes the error in words, without addresses and numbers of a library."""
    return getattr(error, "strerror", None) or str(error)


class Clock:
    """Follows the clock of a file from one picture, or piece of sound, to the next.

    Args:
        what: "picture" or "sound".
        longest: longest step that is not a gap, in seconds.
        notes: receive remarks.
    """

    def __init__(self, what: str, longest: float, notes: Notes):
        self._what, self._longest, self._notes = what, longest, notes
        self._behind = 0

    def step(self, gap: float, time: float, heard: float = 0.0) -> str:
        """Classifies a step of the clock.

        Args:
            gap: seconds since the previous picture or sound.
            time: time of this one, in seconds of the video.
            heard: seconds of sound in the gap; if half of it or more, the picture stands still.

        Returns:
            "on": normal; "gap": nothing is in between; "skip": this one is out of order;
            "end": nothing that follows can be placed.
        """
        self._behind = self._behind + 1 if gap < -_BACK else 0
        if self._behind > _MOST_LATE:
            return self._end(f"its clock goes back to {time:.1f} s; what follows was left out")
        if self._behind:
            return "skip"
        if time > _LATEST:
            return self._end(f"its clock jumps to {time:.4g} s; what follows was left out")
        if gap > self._longest and heard < gap / 2:
            what = f"has no {self._what} for {gap:.1f} s until {time:.1f} s: not filled"
            self._notes.remarks.append(what)
            return "gap"
        return "on"

    def _end(self, remark: str) -> str:
        self._notes.remarks.append(remark)
        return "end"
