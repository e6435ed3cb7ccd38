"""Finds the file that a name means; of several, the first that can be decoded."""

from collections.abc import Sequence
from pathlib import Path

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
