"""A clip of an evaluation set, the listing that every set returns, and how sets collect clips."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from vatt_gh.media.file_tree import NO_FILE, NO_LIST, NO_NAME, FileTree, is_plain_name, stem
from vatt_gh.media.form import WHOLE, Span
from vatt_gh.media.probe import usable


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
        clips: the clips in order of the annotation files.
        skipped: rows {"id" or "path", "reason"} of what is unusable or missing.
        class_names: the name of every label; empty if the set has no classes.
    """

    clips: list[Clip]
    skipped: list[dict[str, str]]
    class_names: list[str]


class Collector:
    """The clips of one directory.

    Args:
        tree: the directory.
        suffixes: suffixes of its media files; none for a set that finds its files itself.
        key: makes the key of a media file from its path.

    Attributes:
        skipped: rows {"id" or "path", "reason"} of what cannot be used, in the order of the lists.
    """

    def __init__(self, tree: FileTree, suffixes: Collection[str], key: Callable[[str], str] = stem):
        self.skipped: list[dict[str, str]] = []
        self._tree = tree
        self._clips: list[Clip] = []
        self._seen: set[str] = set()
        self._media: dict[str, Path] = {}
        self._spare: list[dict[str, str]] = []  # files whose key belongs to another file
        groups: dict[str, list[str]] = {}
        for path in tree.media_files(suffixes):
            groups.setdefault(key(path), []).append(path)
        for name, paths in groups.items():
            self._media[name], others = usable(paths)
            self._spare += others
        self._left = dict(self._media)

    def skip(self, name: str, reason: str) -> None:
        """Notes that something cannot be used."""
        self.skipped.append({"id": name, "reason": reason})

    def accepts(self, name: str, again: str = "") -> bool:
        """Tells whether a name is plain and comes for the first time; else it is skipped.

        Args:
            name: name of a clip, or of its file.
            again: said of a name that comes again, such as its split.
        """
        if not is_plain_name(name):
            self.skip(name, NO_NAME)
        elif name in self._seen:
            self.skip(name, f"is listed again: {again}" if again else "is listed again")
        else:
            self._seen.add(name)
            return True
        return False

    def find(self, key: str) -> Path | None:
        """Finds the media file with this key; it then counts as listed."""
        self._left.pop(key, None)
        return self._media.get(key)

    def take(self, name: str, key: str, **about: tuple) -> None:
        """Takes a clip that is a whole file, or skips it where there is no file.

        Args:
            name: its id.
            key: key of its file.
            about: its labels, captions and splits, see Clip.
        """
        path = self.find(key)
        if path is None:
            self.skip(name, NO_FILE)
        else:
            self.add(Clip(name, path, **about))

    def add(self, clip: Clip) -> None:
        """Takes a clip whose file is known."""
        self._clips.append(clip)

    def listing(self, class_names: Sequence[str] = ()) -> Listing:
        """Lists all clips and all that was skipped, including files that no list names."""
        left = [{"path": str(path), "reason": NO_LIST} for path in self._left.values()]
        skipped = self._tree.skipped + self._spare + self.skipped + left
        return Listing(self._clips, skipped, list(class_names))
