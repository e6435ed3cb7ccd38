"""The captions of the videos of one directory, wherever they are."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from vatt_gh.media.captions.cues import Caption, CaptionFileError
from vatt_gh.media.captions.index import CaptionIndex
from vatt_gh.media.captions.read import read_captions


class VideoCaptions(Mapping[str, list[Caption]]):
    """Captions by video id, read when they are asked for; it can be pickled.

    What is given wins over a video's own file, and that over the index, which is asked where
    there is no such file or where it cannot be read.

    Args:
        files: the caption file of each video that has its own.
        index: of the captions of all videos, if there is one.
        indexed: ids of the videos that are in the index.
        given: captions that are known already.
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
        # A builder asks for the same video at each of its segments.
        self._last: tuple[str, list[Caption], list[dict[str, str]]] | None = None

    def __getitem__(self, video: str) -> list[Caption]:
        return self._read(video)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._videos()))

    def __len__(self) -> int:
        return len(self._videos())

    def __contains__(self, video: object) -> bool:
        return video in self._given or video in self._files or video in self._indexed

    def skipped(self, video: str) -> list[dict[str, str]]:
        """What of a video's own file was left out.

        Args:
            video: an id; it may have no captions.

        Returns:
            Rows {"id", "path", "reason"}.
        """
        return self._read(video)[1] if video in self else []

    def only(self, videos: Collection[str]) -> "VideoCaptions":
        """The captions of some videos, without what is known of others."""

        def some(values: Mapping[str, Any]) -> dict[str, Any]:
            return {video: values[video] for video in videos if video in values}

        indexed = self._indexed.intersection(videos)
        return VideoCaptions(some(self._files), self._index, indexed, some(self._given))

    def _videos(self) -> Set[str]:
        return self._given.keys() | self._files.keys() | self._indexed

    def _read(self, video: str) -> tuple[list[Caption], list[dict[str, str]]]:
        if video not in self:
            raise KeyError(video)
        if self._last is None or self._last[0] != video:
            self._last = (video, *self._read_now(video))
        return self._last[1:]

    def _read_now(self, video: str) -> tuple[list[Caption], list[dict[str, str]]]:
        if video in self._given:
            return self._given[video], []
        reasons: list[str] = []
        captions: list[Caption] | None = None
        path = self._files.get(video)
        if path is not None:
            try:
                captions, reasons = read_captions(path)
            except CaptionFileError as error:
                reasons = [error.reason]
        if captions is None and video in self._indexed:
            captions = self._index.get(video)
        rows = [{"id": video, "path": str(path), "reason": reason} for reason in reasons]
        return captions or [], rows
