"""Prepares a data set with TFDS, part by part: checks before, notes and indexes after."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from tfds_builders import beam
from tfds_builders.builders import BUILDERS
from tfds_builders.flag_checks import check_name, check_settings
from tfds_builders.parts import Part, Settings, parts_of
from tfds_builders.progress import Progress
from tfds_builders.segments import COUNTS_FILE, SegmentBuilder, SegmentConfig
from tfds_builders.selected import selected, used_by_none
from tfds_builders.sets import DATA_SETS
from vatt_gh.data.built import open_built
from vatt_gh.data.record_index import FINISHED, write_index
from vatt_gh.data.selection import SELECTION, Selection, digest_of
from vatt_gh.errors import UserError, changed_settings
from vatt_gh.files import check_room, read_object, system_problems_named, write_whole
from vatt_gh.locks import locked
from vatt_gh.media.form import Form
from vatt_gh.media.library import Library
from vatt_gh.media.storages import STORAGES


def build_parts(
    name: str,
    *,
    manual_dir: str | Path,
    data_dir: str | Path,
    form: Form,
    settings: Settings,
    selection: Selection | None = None,
) -> list[Path]:
    """Builds records; leaves existing parts alone.

    Args:
        name: a key of BUILDERS.
        manual_dir: laid out as the set's layout in tfds_builders.sets.
        data_dir: directory for the records.
        form: how videos are stored.
        settings: see Settings.
        selection: leaves out records that the lists exclude as a whole; None: all are built.

    Returns:
        The directories of the finished parts, for tfds.builder_from_directories.

    Raises:
        UserError: nothing can be built; a setting is invalid; records with other settings exist;
            another process builds the requested part; the disk is full.
    """
    check_name(name, BUILDERS)
    check_settings(form, settings)
    folder = Path(data_dir) / name
    _check_finished(folder, form, selection)
    library = selected(DATA_SETS[name].scan(Path(manual_dir), Path(data_dir)), selection)
    # Count each file once: many clips may be stretches of one.
    size = sum(path.stat().st_size for path in {path for _, path in library.videos})
    parts = parts_of(folder, form, settings.parts, size)
    wanted = [part for part in parts if settings.part in (0, part.number)]
    if not wanted:
        raise UserError(
            f"There is no part {settings.part}.",
            where="--part",
            expected=f"1 to {len(parts)}",
            todo="give another --part, or none to build all",
        )
    if not all(part.finished() for part in wanted):
        # How much of the videos the lists use is not known.
        whole = STORAGES[form.storage].outgrows_videos and selection is None
        check_room(
            Path(data_dir),
            size if whole else 0,
            "The videos alone have",
            expected="more room than the videos take; JPEG records often take several times it",
            todo="free some space, give another --data_dir, or store less: "
            f"--storage={' or '.join(n for n, s in STORAGES.items() if not s.outgrows_videos)}",
        )
        with system_problems_named(Path(data_dir)):
            _build_parts(name, wanted, library, settings, Path(data_dir), selection)
    finished = [path for part in parts if (path := part.finished())]
    _summarise(name, library, finished, len(parts), Path(data_dir), selection)
    return finished


class _PartJob(NamedTuple):
    """A part to build, in a form that can be pickled."""

    name: str
    part: Part
    share: Library
    settings: Settings
    data_dir: Path
    selection: Selection | None


def _build_parts(
    name: str,
    parts: list[Part],
    library: Library,
    settings: Settings,
    data_dir: Path,
    selection: Selection | None,
) -> None:
    shares = library.split_into(parts[0].parts)
    tasks = [
        _PartJob(name, part, shares[part.number - 1], settings, data_dir, selection)
        for part in parts
        if not part.finished()
    ]
    if settings.beam:
        beam.run(_build_unless_taken, tasks, settings.beam)
        return
    with Progress(name, sum(len(task.share.videos) for task in tasks)) as progress:
        for task in tasks:
            _build_unless_taken(task, progress.add)


def _build_unless_taken(task: _PartJob, on_video: Callable[[float], None] = lambda _: None) -> None:
    part = task.part
    with part.claimed() as mine:
        if mine and not part.finished():
            # Another machine may have begun with other lists.
            _check_finished(part.folder, part.form, task.selection)
            _build_part(task, on_video)
        elif not mine and task.settings.part:
            raise UserError(
                f"Another process is building part {part.number}.",
                where=part.folder / part.config_name,
                expected="one process a part",
                todo="wait for it, or leave --part out to build the parts that no process builds",
            )


def _build_part(task: _PartJob, on_video: Callable[[float], None]) -> None:
    name, part, library, settings, data_dir, selection = task
    config = SegmentConfig(
        name=part.config_name,
        workers=settings.workers,
        part=part.number,
        parts=part.parts,
        selection=digest_of(selection),
        **dataclasses.asdict(part.form),
    )
    builder = BUILDERS[name](config=config, data_dir=str(data_dir))
    builder.library, builder.limits, builder.on_video = library, settings.limits, on_video
    builder.selection = selection
    builder.spool_dir = part.folder / part.config_name
    builder.spool_dir.mkdir(exist_ok=True)
    # No statistics: they would read everything again.
    download = tfds.download.DownloadConfig(
        manual_dir=str(library.folder), compute_stats=tfds.download.ComputeStatsMode.SKIP
    )
    builder.download_and_prepare(download_config=download)
    write_index(Path(str(builder.data_dir)))


def _summarise(
    name: str,
    library: Library,
    finished: list[Path],
    parts: int,
    data_dir: Path,
    selection: Selection | None,
) -> None:
    """Prints what the finished parts hold, and lists what no part could use."""
    counts: Counter[str] = Counter()
    skipped = [json.dumps(row) + "\n" for row in library.skipped]
    for folder in finished:
        counts.update(read_object(folder / COUNTS_FILE))
        skipped += (folder / "skipped.jsonl").read_text(encoding="utf-8").splitlines(True)
    listing = data_dir / "skipped.jsonl"
    _write("".join(skipped), listing)
    if len(finished) == parts and not counts["segments"]:
        for folder in finished:
            shutil.rmtree(folder)
        if selection is not None and not skipped:
            raise used_by_none(library)
        raise UserError(
            f"None of the {len(library.videos)} videos can be used.",
            where=library.videos[0][1].parent,
            expected="at least one file that can be decoded",
            todo=f"see the reasons in {listing}",
        )
    numbers = [f"{counts[n]} {n}" for n in ("videos", "segments", "captions")]
    numbers += [f"{counts['milliseconds'] / 3.6e6:.2f} hours"]
    numbers += [f"{counts[n]} {n}" for n in ("without sound", "without captions")]
    of_parts = f", {len(finished)} of {parts} parts finished" if parts > 1 else ""
    print(f"{name}: {', '.join(numbers)}, {len(skipped)} skipped{of_parts}", flush=True)


def _write(text: str, path: Path) -> None:
    """Writes a list that several build processes may write."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with locked(path.with_name(f".{path.name}.lock")):
        write_whole(path, text)


def _check_finished(folder: Path, form: Form, selection: Selection | None) -> None:
    """Refuses to add to records that were built with other settings or lists."""
    for info in folder.glob(f"*/{FINISHED}"):
        _check_same(info.parent, dataclasses.asdict(form) | {SELECTION: digest_of(selection)})


def _check_same(version_dir: Path, settings: dict[str, Any]) -> None:
    info = open_built(version_dir)
    # Records older than a setting equal those of its default, except for unusual files.
    before = {field.name: field.default for field in dataclasses.fields(Form)} | {SELECTION: ""}
    stored = before | info.metadata | {"version": str(info.version)}
    lines = changed_settings(stored, settings | {"version": str(SegmentBuilder.VERSION)})
    if lines:
        raise UserError(
            f"Records with other settings are there already: {'; '.join(lines)}.",
            where=version_dir,
            expected="the same settings",
            todo="give another --data_dir, or the settings of the records",
        )
