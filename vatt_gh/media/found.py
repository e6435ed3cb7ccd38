"""Finds the file that a name means; of several, the first that can be decoded."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from vatt_gh.media.files import Tree, media_files, stem
from vatt_gh.media.form import WHOLE, Form, MediaError
from vatt_gh.media.probe import look


def usable(paths: Sequence[str | Path]) -> tuple[Path, list[dict[str, str]]]:
    """Chooses one of several files with the same id or name.

    Args:
        paths: media files, the preferred ones first.

    Returns:
        The first that can be decoded, else the first; and rows {"path", "reason"} of the others.
    """
    first = Path(paths[0])
    errors: dict[Path, str] = {}
    for path in map(Path, paths if len(paths) > 1 else ()):
        found = look(path, WHOLE, Form())
        if not isinstance(found, MediaError):
            first = path
            break
        errors[path] = f"{found.reason}; "
    rows = [
        {"path": str(path), "reason": f"{errors.get(path, '')}has the same id as {first}"}
        for path in map(Path, paths)
        if path != first
    ]
    return first, rows


class Media:
    """The media files of a directory, by a key made from their names.

    Attributes:
        skipped: rows {"path", "reason"} of files whose key belongs to another file.
    """

    def __init__(self, tree: Tree, suffixes: Collection[str], key: Callable[[str], str] = stem):
        self.skipped: list[dict[str, str]] = []
        self._paths: dict[str, Path] = {}
        self._found: set[str] = set()
        groups: dict[str, list[str]] = {}
        for path in media_files(tree, suffixes):
            groups.setdefault(key(path), []).append(path)
        for name, paths in groups.items():
            self._paths[name], others = usable(paths)
            self.skipped += others

    def find(self, key: str) -> Path | None:
        """The file with this key."""
        path = self._paths.get(key)
        if path is not None:
            self._found.add(key)
        return path

    def left(self) -> list[dict[str, str]]:
        """Rows {"path", "reason"} of the files that were never found."""
        return [
            {"path": str(path), "reason": "is in no annotation file"}
            for key, path in self._paths.items()
            if key not in self._found
        ]
