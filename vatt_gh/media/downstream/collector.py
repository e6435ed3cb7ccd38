"""Collects the clips that a set's lists name: each with its file, or the reason why it has none."""

from collections.abc import Sequence

from vatt_gh.media.downstream.clip import Clip, Listing
from vatt_gh.media.files import NO_FILE, NO_NAME, Tree, is_plain_name
from vatt_gh.media.found import Media


class Collector:
    """The clips of one directory.

    Args:
        tree: the directory.
        media: its media files.

    Attributes:
        skipped: rows {"id", "reason"} of what cannot be used, in the order of the lists.
    """

    def __init__(self, tree: Tree, media: Media):
        self.skipped: list[dict[str, str]] = []
        self._tree, self._media = tree, media
        self._clips: list[Clip] = []
        self._seen: set[str] = set()

    def skip(self, name: str, reason: str) -> None:
        """Notes that something cannot be used."""
        self.skipped.append({"id": name, "reason": reason})

    def accepts(self, name: str, again: str = "") -> bool:
        """Whether a name is plain and comes for the first time; else it is skipped.

        Args:
            name: of a clip, or of its file.
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

    def take(
        self,
        name: str,
        key: str,
        *,
        labels: Sequence[int] = (),
        captions: Sequence[str] = (),
        splits: Sequence[str] = (),
    ) -> None:
        """Takes a clip that is a whole file, or skips it where there is no file.

        Args:
            name: its id.
            key: of its file, see Media.
            labels, captions, splits: see Clip.
        """
        path = self._media.find(key)
        if path is None:
            self.skip(name, NO_FILE)
        else:
            whole = (path, None, None)
            self._clips.append(Clip(name, *whole, tuple(labels), tuple(captions), tuple(splits)))

    def add(self, clip: Clip) -> None:
        """Takes a clip that is a stretch of a file."""
        self._clips.append(clip)

    def listing(self, class_names: Sequence[str] = ()) -> Listing:
        """All clips, and all that was skipped, files that no list names too."""
        skipped = self._tree.skipped + self._media.skipped + self.skipped + self._media.left()
        return Listing(self._clips, skipped, list(class_names))
