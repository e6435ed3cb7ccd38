"""Finds the records of a configuration, and builds what is missing."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from vatt_gh.config.mixture import parse_entry
from vatt_gh.config.training import DATA
from vatt_gh.data.built import open_built
from vatt_gh.data.record_index import FINISHED
from vatt_gh.data.records import Source, open_source
from vatt_gh.data.selection import SELECTION, read_selection
from vatt_gh.errors import UserError
from vatt_gh.files import read_object
from vatt_gh.media.form import form_of
from vatt_gh.media.rates import check_rate

# Builds the records for a configuration's section "data"; returns the directories of all parts.
Build = Callable[[ConfigDict], list[Path]]
WORDS_FILE = "words.json"  # {word: count} of all captions, written when records are built


def find_records(name: str, data_dir: str) -> tuple[list[Path], int]:
    """Finds the version directories of a built data set's parts.

    Args:
        name: name of the builder.
        data_dir: the directory given to the build.

    Returns:
        The directories, and the number of missing parts.

    Raises:
        UserError: it holds several data sets.
    """
    found = sorted(path.parent for path in (Path(data_dir) / name).glob(f"*/{FINISHED}"))
    if not found:
        return [], 0
    metadata = [open_built(path).metadata for path in found]
    parts = {m.get("part") for m in metadata}
    kinds = {json.dumps({**m, "part": 0}, sort_keys=True) for m in metadata}
    if len(kinds) > 1 or len(parts) < len(found):
        raise UserError(
            "Several data sets were built into one directory.",
            where=data_dir,
            expected=f"one configuration and version of {name}",
            todo=f"give another data_dir, or delete all but one of {', '.join(map(str, found))}",
        )
    return found, metadata[0].get("parts", 1) - len(found)


def find_or_build(data: ConfigDict, build: Build | None = None) -> list[Path]:
    """Finds the records of `data_dir`; builds what is missing from `manual_dir`.

    Args:
        data: the configuration's section of that name.
        build: builds the records of such a section; None: nothing is built.

    Returns:
        The version directories of all existing parts.

    Raises:
        UserError: there are no records and nothing to build them from.
    """
    if not data.data_dir:
        raise UserError(
            "No data directory is given.",
            where="config.data.data_dir",
            expected="the directory with the records, or one to build them into",
            todo="add --config.data.data_dir=DIR, and --config.data.manual_dir=DIR with videos "
            "and captions where no records exist yet",
        )
    found, missing = find_records(data.builder, data.data_dir)
    listed = bool(found) and bool(open_built(found[0]).metadata.get(SELECTION))
    if listed:
        told = "was built with --only or --without, and holds nothing else"
        print(f"{data.data_dir}: {told}", flush=True)
    # A build without these lists would be another data set.
    if found and not (missing and data.manual_dir and build and not listed):
        if missing:
            print(f"{data.data_dir}: {missing} parts are missing; the others are read", flush=True)
        return found
    if not (data.manual_dir and build):
        reason = "none are built here" if data.manual_dir else "nothing to build them from"
        raise UserError(
            f"There are no {data.builder} records, and {reason}.",
            where=f"config.data.data_dir = {data.data_dir}",
            expected="records, or a single process and --config.data.manual_dir=DIR, the "
            "directory with videos and captions",
            todo=_command(data, data.builder, data.manual_dir or "DIR", data.data_dir),
        )
    return build(data)


def _command(data: ConfigDict, name: str, manual_dir: str, data_dir: str) -> str:
    """Formats the command that builds records as the configuration would."""
    form = form_of(data)
    chosen = [
        f" --{field.name}={getattr(form, field.name)}"
        for field in dataclasses.fields(form)
        if getattr(form, field.name) != field.default
    ]
    return (
        f"python -m tfds_builders.build {name} --manual_dir={manual_dir} --data_dir={data_dir}"
        + "".join(chosen)
    )


def open_sources(data: ConfigDict, build: Build | None = None) -> list[Source]:
    """Opens all data sets of a configuration; builds the missing records of the first.

    Args:
        data, build: see `find_or_build`.

    Returns:
        The source of data.data_dir, then those of data.also.

    Raises:
        UserError: see `find_or_build` and `open_source`; records of data.also are missing, or
            their sound has another rate; or see `read_selection`.
    """
    share, selection = data.unreadable_share, read_selection(data.only, data.without)
    sources = [open_source(find_or_build(data, build), data.manual_dir, data.split, share)]
    for given in data.also:
        name, split, folder = parse_entry(given)
        found, missing = find_records(name, folder)
        if not found or missing:
            raise UserError(
                f"There are no {name} records." if not found else f"{missing} parts are missing.",
                where=f"config.data.also: {given}",
                expected="all parts of the data set's records",
                todo=_command(data, name, "DIR", folder),
            )
        split = split or DATA["split"].default
        sources.append(open_source(found, split=split, unreadable_share=share))
        rate, first = sources[-1].audio_rate, sources[0].audio_rate
        check_rate(rate, first, "that of the first data set has", f"config.data.also: {given}")
    return [dataclasses.replace(source, selection=selection) for source in sources]


def word_counts(sources: Sequence[Source]) -> dict[str, int]:
    """Counts the occurrences of every word in the captions.

    Args:
        sources: the data sets.

    Returns:
        {word: count}.

    Raises:
        UserError: the counts that the build wrote beside the records cannot be read.
    """
    total: Counter[str] = Counter()
    for directory in (directory for source in sources for directory in source.directories):
        path, what = directory / WORDS_FILE, "The word counts of the captions cannot be read"
        advice = {
            "expected": "the file that the build writes beside the records",
            "todo": "build the records again, or give --config.data.vocabulary=FILE",
        }
        counts = read_object(path, what, **advice)
        if not all(isinstance(count, int) for count in counts.values()):
            raise UserError(f"{what}: not all are numbers", where=path, **advice)
        total.update(counts)
    return dict(total)
