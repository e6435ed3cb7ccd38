"""A clip of a set for evaluation, and the list of them that every set gives."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is there.

    Attributes:
        id: unique in its set.
        path: the file that holds it.
        start, end: where in the file, in seconds; None: the whole file.
        labels: indices into the class names of the listing.
        captions: what is said of it.
        splits: the names of all splits that it belongs to.
    """

    id: str
    path: Path
    start: float | None
    end: float | None
    labels: tuple[int, ...]
    captions: tuple[str, ...]
    splits: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a directory holds of a set.

    Attributes:
        clips: in order of the annotation files.
        skipped: rows {"id" or "path", "reason"} of what cannot be used or is not there.
        class_names: the name of every label; empty where a set has no classes.
    """

    clips: list[Clip]
    skipped: list[dict[str, str]]
    class_names: list[str]
