"""A clip of an evaluation set, and the listing that every set returns."""

import dataclasses
from pathlib import Path

from vatt_gh.media.form import WHOLE, Span


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """A clip that was found.

    Attributes:
        id: unique in its set.
        path: its file.
        start, end: its place in the file, in seconds; None: the whole file.
        labels: indices into the class names of the listing.
        captions: its captions.
        splits: the names of all its splits.
    """

    id: str
    path: Path
    start: float | None = None
    end: float | None = None
    labels: tuple[int, ...] = ()
    captions: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        """Its place in the file."""
        return WHOLE if self.start is None else Span(self.start, self.end)


@dataclasses.dataclass(frozen=True)
class Listing:
    """The contents of a set's directory.

    Attributes:
        clips: in order of the annotation files.
        skipped: rows {"id" or "path", "reason"} of what is unusable or missing.
        class_names: the name of every label; empty if the set has no classes.
    """

    clips: list[Clip]
    skipped: list[dict[str, str]]
    class_names: list[str]
