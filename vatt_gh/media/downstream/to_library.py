"""Turns the clips of an evaluation set into a library, for the builders."""

from pathlib import Path

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption, VideoCaptions
from vatt_gh.media.downstream.clips import Clip, Listing
from vatt_gh.media.form import WHOLE
from vatt_gh.media.library import Library
from vatt_gh.media.splits import joined


def library_of(folder: Path, listing: Listing, layout: str) -> Library:
    """Turns a list of clips into a library.

    Args:
        folder: the directory that was listed.
        listing: its clips.
        layout: the expected layout, for the error message.

    Returns:
        The library. A clip in several splits is there once, in the split that
        vatt_gh.media.splits.joined names.

    Raises:
        UserError: there is no clip.
    """
    if not listing.clips:
        raise UserError(
            f"None of the {len(listing.skipped)} clips that are listed can be used.",
            where=folder,
            expected=f"this layout:{layout}",
            todo="give --manual_dir=DIR with this layout; the first reason is: "
            + next((row["reason"] for row in listing.skipped), "the lists are empty"),
        )
    clips = listing.clips
    return Library(
        folder=Path(folder),
        videos=sorted((clip.id, clip.path) for clip in clips),
        captions=VideoCaptions({}, given={c.id: _said(c) for c in clips if c.captions}),
        skipped=listing.skipped,
        spans={c.id: c.span for c in clips if c.span != WHOLE},
        labels={c.id: tuple(listing.class_names[n] for n in c.labels) for c in clips if c.labels},
        splits={c.id: joined(c.splits) for c in clips},
        class_names=listing.class_names,
        found_by="the set's own lists",
    )


def _said(clip: Clip) -> list[Caption]:
    return [Caption(text, clip.span.start, clip.span.until) for text in clip.captions]
