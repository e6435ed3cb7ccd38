"""The captions of a directory's videos, from all sources."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from pathlib import Path

from vatt_gh.media.captions.cues import Caption, CaptionFileError, to_captions
from vatt_gh.media.captions.index import CaptionIndex
from vatt_gh.media.captions.read import read_captions
from vatt_gh.media.captions.units import in_seconds, within

_Read = tuple[list[Caption], list[dict[str, str]]]


class VideoCaptions(Mapping[str, list[Caption]]):
    """Captions by video id, read on demand; it can be pickled.

    Given captions override a video's own file. The index is used only where there is no such file
    or where it has no caption.

    Args:
        files: the caption file of each video that has its own.
        index: index of the captions of all videos, if there is one.
        indexed: ids of the videos that are in the index.
        given: captions already known.
    """

    def __init__(
        self,
        files: dict[str, Path],
        index: CaptionIndex | None = None,
        indexed: Iterable[str] = (),
        given: Mapping[str, list[Caption]] | None = None,
    ):
        self._given = dict(given or {})
        self._files, self._index, self._indexed = files, index, frozenset(indexed)

    def __getitem__(self, video: str) -> list[Caption]:
        if video not in self:
            raise KeyError(video)
        return self.of(video)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._videos()))

    def __len__(self) -> int:
        return len(self._videos())

    def __contains__(self, video: object) -> bool:
        return video in self._given or video in self._files or video in self._indexed

    def of(self, video: str, length: float | None = None) -> _Read:
        """Reads the captions of a video, and what was left out.

        Args:
            video: an id; it may have no captions.
            length: seconds of the video, to detect captions in other units and of other videos;
                None: unknown.

        Returns:
            Captions in order of their start; and rows {"id", "reason"}, with "path" if the video
            has its own file.
        """
        if video in self._given:
            return self._given[video], []
        captions: list[Caption] = []
        rows = []
        path = self._files.get(video)
        if path is not None:
            try:
                captions, reasons = read_captions(path, length)
            except CaptionFileError as error:
                reasons = [error.reason]
            rows += [{"id": video, "path": str(path), "reason": reason} for reason in reasons]
        if not captions and video in self._indexed:
            # Broken captions were already reported when the index was built.
            cues, unit = in_seconds(self._index.cues(video) or [], length)
            captions, outside = within(to_captions(cues)[0], length)
            rows += [{"id": video, "reason": reason} for reason in (*unit, *outside)]
        return captions, rows

    def only(self, videos: Collection[str]) -> "VideoCaptions":
        """Returns the captions of some videos, without anything about others."""
        files = {video: self._files[video] for video in videos if video in self._files}
        given = {video: self._given[video] for video in videos if video in self._given}
        return VideoCaptions(files, self._index, self._indexed.intersection(videos), given)

    def _videos(self) -> Set[str]:
        return self._given.keys() | self._files.keys() | self._indexed
