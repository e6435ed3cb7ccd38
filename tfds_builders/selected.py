"""The videos of a directory that a list of stretches uses."""

import dataclasses
import math

from vatt_gh.data.selection import Selection
from vatt_gh.errors import UserError
from vatt_gh.media.library import Library


def selected(library: Library, selection: Selection | None) -> Library:
    """Drops videos that the lists exclude as a whole; prints how many remain.

    Args:
        library: the videos of a directory.
        selection: the stretches that are used; None: all.

    Returns:
        The library with fewer videos.

    Raises:
        UserError: none is left.
    """
    if selection is None:
        return library
    videos = [
        (video, path) for video, path in library.videos if selection.uses(video, 0.0, math.inf)
    ]
    print(f"{len(videos)} of {len(library.videos)} videos are used by the lists", flush=True)
    if not videos:
        raise used_by_none(library)
    return dataclasses.replace(library.only(videos), skipped=library.skipped)


def used_by_none(library: Library) -> UserError:
    """Makes the error for lists that use no video of a directory."""
    return UserError(
        "The lists of stretches use none of the videos.",
        where=library.folder,
        expected=f"ids as here, {library.videos[0][0]!r}, ..., and times within the videos",
        todo="mend --only or --without, or leave them out",
    )
