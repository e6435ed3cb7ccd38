"""Estimates what a build would find, hold and take, from names and a sample of the files."""

import contextlib
import dataclasses
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from vatt_gh.errors import printable
from vatt_gh.media.captions import Caption
from vatt_gh.media.file_names import RULES, id_and_rule
from vatt_gh.media.file_tree import MEDIA_SUFFIXES
from vatt_gh.media.form import WHOLE, Form
from vatt_gh.media.library import NAMES, Library
from vatt_gh.media.probe import Look, Trial, look, trial

SAMPLE = 64  # files to open
TRIALS = 8  # files to store a stretch of
STRETCH = 10.0  # s of video
TIME_LIMIT = 30.0  # s; then no further file is awaited
_RECORD = 280  # bytes of a record without frames, sound and captions: names and numbers
_CAPTION_BYTES = 12  # bytes of a caption without its text
_LISTED = 12  # kinds of reasons to show

# Calls a function with each tuple of a list, and gives the results in order, or something with a
# `reason` where a call failed.
RunOnVideos = Callable[[Callable[..., Any], list[tuple]], Iterator[Any]]


@dataclasses.dataclass(frozen=True)
class Survey:
    """Estimates of what a build would find, hold and take.

    Attributes:
        folder: the directory.
        form: how videos would be stored.
        workers: decoding processes.
        files: media files found.
        videos: ids to build from them.
        rules: number of ids found by each naming rule, or in a list.
        captioned: videos known to have captions.
        looked: videos in the sample.
        usable: videos of the sample that can be decoded.
        silent: usable videos without a sound stream.
        hours: hours of all videos, estimated from the sample.
        tried: videos with a stored stretch.
        stored: bytes of all records; None: no stretch could be stored.
        build_seconds: duration of the build; None: as for `stored`.
        skipped: rows {"id" or "path", "reason"} of what is known to be left out: by name for all
            files, by content for the sample.
    """

    folder: Path
    form: Form
    workers: int
    files: int
    videos: int
    rules: dict[str, int]
    captioned: int
    looked: int
    usable: int
    silent: int
    hours: float
    tried: int
    stored: float | None
    build_seconds: float | None
    skipped: list[dict[str, str]]


class _Usable(NamedTuple):
    video: str
    path: Path
    found: Look


def survey(library: Library, form: Form, *, sample: int, workers: int, run: RunOnVideos) -> Survey:
    """Examines some videos of a library, and stores a stretch of a few of them.

    Args:
        library: library with at least one video.
        form: how to store them.
        sample: number of videos to examine, drawn at random with a fixed seed.
        workers: processes of the build.
        run: calls `look` and `trial`, and survives files that make a decoder hang or crash.

    Returns:
        The survey. If files take too long, the sample is smaller than asked for.
    """
    drawn = random.Random(0).sample(library.videos, min(sample, len(library.videos)))
    usable, skipped = _look_at(library, drawn, form, run)
    trials = _try(usable[:TRIALS], form, run)
    looked = len(usable) + len(skipped)
    seconds = sum(one.found.seconds for one in usable) * len(library.videos) / max(looked, 1)
    skipped = [*library.skipped, *skipped]
    besides = 0  # bytes of the sample's records without frames and sound
    captioned = sum(video in library.captions for video, _ in library.videos)
    for one in usable:
        said, left_out = library.said_in(one.video, one.found.seconds)
        besides += _besides(said, one, form)
        path, remarks = str(one.path), one.found.remarks
        skipped += [{"path": path, "id": one.video, "reason": why} for why in remarks] + left_out
        captioned -= one.video in library.captions and not said
    stored = build_seconds = None
    if trials:
        lengths = [one.found.seconds for one, _ in trials]
        stored = seconds * fmean([found.stored / found.seconds for _, found in trials], lengths)
        stored += besides * len(library.videos) / looked
        cpu = seconds * fmean([found.cpu_seconds / found.seconds for _, found in trials], lengths)
        build_seconds = cpu / min(workers, os.cpu_count() or workers)
    return Survey(
        folder=library.folder,
        form=form,
        workers=workers,
        files=_count_files(library),
        videos=len(library.videos),
        rules=_count_rules(library),
        captioned=captioned,
        looked=looked,
        usable=len(usable),
        silent=sum(not one.found.has_audio for one in usable),
        hours=seconds / 3600,
        tried=len(trials),
        stored=stored,
        build_seconds=build_seconds,
        skipped=skipped,
    )


def _look_at(
    library: Library, drawn: list[tuple[str, Path]], form: Form, run: RunOnVideos
) -> tuple[list[_Usable], list[dict[str, str]]]:
    tasks = [(path, library.spans.get(video, WHOLE), form) for video, path in drawn]
    usable: list[_Usable] = []
    skipped = []
    for found, (video, path) in zip(_patiently(run(look, tasks)), drawn, strict=False):
        if isinstance(found, Look):
            usable.append(_Usable(video, path, found))
        else:
            skipped.append({"path": str(path), "id": video, "reason": found.reason})
    return usable, skipped


def _try(usable: list[_Usable], form: Form, run: RunOnVideos) -> list[tuple[_Usable, Trial]]:
    tasks = [(one.path, one.found, form, STRETCH) for one in usable]
    results = zip(_patiently(run(trial, tasks)), usable, strict=False)
    return [(one, found) for found, one in results if isinstance(found, Trial) and found.seconds]


def _patiently(results: Iterator[Any]) -> Iterator[Any]:
    """Yields results for about TIME_LIMIT seconds."""
    end = time.monotonic() + TIME_LIMIT
    with contextlib.closing(results):
        for result in results:
            yield result
            if time.monotonic() > end:
                return


def _besides(said: list[Caption], one: _Usable, form: Form) -> int:
    """Counts the bytes of a video's records without frames and sound."""
    # A remainder below one second joins the previous record.
    records = max(1, int((one.found.seconds - 1.0) // form.segment_seconds) + 1)
    size = sum(len(caption.text.encode()) + _CAPTION_BYTES for caption in said)
    return size + records * (_RECORD + len(one.video.encode()))


def _count_files(library: Library) -> int:
    left_out = (row.get("path", "") for row in library.skipped)
    media = {path for path in left_out if path.lower().endswith(MEDIA_SUFFIXES)}
    return len(media | {str(path) for _, path in library.videos})


def _count_rules(library: Library) -> dict[str, int]:
    if library.found_by != NAMES:
        return {library.found_by: len(library.videos)}
    counts = Counter(id_and_rule(path.stem)[1] for _, path in library.videos)
    return {rule: counts[rule] for rule in RULES}


def text(found: Survey) -> str:
    """Formats a survey for people.

    Args:
        found: the result of `survey`.

    Returns:
        Several lines.
    """
    rules = ", ".join(f"{count} by {rule}" for rule, count in found.rules.items())
    whole = found.looked == found.videos
    part = "all of them" if whole else f"{found.looked} of {found.videos}"
    bad = found.looked - found.usable
    lines = [
        f"{found.folder}: nothing is built",
        f"  media files    {found.files}",
        f"  ids            {found.videos}: {rules}",
        f"  with captions  {found.captioned} of {found.videos}",
        f"  looked at      {part}",
        f"    unreadable     {_share(bad, found.looked)}",
        f"    without sound  {_share(found.silent, found.usable)}",
        f"  video          {'' if whole else 'about '}{_time(found.hours * 3600)}",
        *_estimates(found),
        *_reasons(found.skipped),
    ]
    if not found.usable:
        lines.append(f"None of the {found.looked} videos that were looked at can be used.")
    return printable("\n".join(lines))


def _share(count: int, of: int) -> str:
    return f"{count} of {of}" + (f" ({100 * count / of:.0f} %)" if of else "")


def _estimates(found: Survey) -> Iterator[str]:
    if found.stored is None or found.build_seconds is None:
        return
    form = found.form
    settings = f"{form.storage}, {form.short_side} pixels, {form.fps:g} frames a second"
    yield f"  records        about {_bytes(found.stored)} ({settings})"
    yield f"  build          about {_time(found.build_seconds)} with {found.workers} workers"
    yield f"                 (as {found.tried} of the videos, up to {STRETCH:g} s of each, were)"


def _time(seconds: float) -> str:
    return _in_units(seconds, {"hours": 3600, "minutes": 60, "seconds": 1})


def _bytes(count: float) -> str:
    return _in_units(count, {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3})


def _in_units(number: float, units: dict[str, float]) -> str:
    """Formats a number in the largest unit that it reaches, else in the last one."""
    unit = next((name for name, size in units.items() if number >= size), list(units)[-1])
    return f"{number / units[unit]:.3g} {unit}"


def _reasons(skipped: list[dict[str, str]]) -> Iterator[str]:
    """Yields the reasons by frequency, grouped by their beginnings."""
    groups: dict[str, list[dict[str, str]]] = {}
    for row in skipped:
        words = (word for word in row["reason"].split() if "/" not in word)
        kind = " ".join(["#" if any(map(str.isdigit, word)) else word for word in words][:3])
        groups.setdefault(kind, []).append(row)
    yield f"  left out so far  {len(skipped)}"
    ordered = sorted(groups.values(), key=lambda rows: (-len(rows), rows[0]["reason"]))
    for rows in ordered[:_LISTED]:
        name = rows[0].get("path") or rows[0]["id"]
        yield f"    {len(rows):6} such as {name}: {rows[0]['reason']}"
    if len(ordered) > _LISTED:
        yield f"    {sum(map(len, ordered[_LISTED:])):6} for {len(ordered) - _LISTED} other reasons"
