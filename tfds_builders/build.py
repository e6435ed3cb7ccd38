"""Builds records from a user's files.

    python -m tfds_builders.build howto100m --manual_dir=VIDEOS --data_dir=RECORDS

Copies and renames nothing in manual_dir. Lists unusable files, with the reason, in
DATA_DIR/skipped.jsonl. The same command resumes an interrupted build; of many parts only the open
one starts again. The same command on several machines shares the parts.

--dry_run examines some of the files, and prints what the build would find and take.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from ml_collections import ConfigDict

from tfds_builders.dry_run import dry_run
from tfds_builders.flag_checks import key_of
from tfds_builders.parts import PART_BYTES, Settings
from tfds_builders.sets import DATA_SETS
from vatt_gh.config.document import meaning_of
from vatt_gh.data.selection import Selection, read_selection
from vatt_gh.errors import UserError
from vatt_gh.files import system_problems_named
from vatt_gh.media.form import Form, form_of
from vatt_gh.media.survey import text
from vatt_gh.media.workers import Limits
from vatt_gh.paths import local_path

# TensorFlow is imported late: the decoding processes import this module and do not need it.


def build(
    name: str,
    *,
    manual_dir: str | Path,
    data_dir: str | Path,
    form: Form,
    settings: Settings | None = None,
    selection: Selection | None = None,
) -> list[Path]:
    """Builds records; see `tfds_builders.preparing.build_parts`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from tfds_builders import preparing

    return preparing.build_parts(
        name,
        manual_dir=manual_dir,
        data_dir=data_dir,
        form=form,
        settings=settings or Settings(),
        selection=selection,
    )


def build_for(data: ConfigDict) -> list[Path]:
    """Builds the missing records that a configuration reads.

    Args:
        data: the configuration's section of that name.

    Returns:
        The directories of all parts.

    Raises:
        UserError: see `tfds_builders.preparing.build_parts`.
    """
    return build(
        data.builder,
        manual_dir=data.manual_dir,
        data_dir=data.data_dir,
        form=form_of(data),
        settings=Settings(workers=data.build_workers),
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tfds_builders.build",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help=", ".join(DATA_SETS))
    parser.add_argument("--manual_dir", required=True, help="your files, see README.md")
    parser.add_argument("--data_dir", required=True, help="directory for the records")
    for field in dataclasses.fields(Form):
        key = key_of(field.name)
        meaning = meaning_of(key) if key else field.metadata["help"]
        parser.add_argument(
            f"--{field.name}",
            type=type(field.default),
            default=field.default,
            help=f"{meaning}; default {field.default}".replace("%", "%%"),
        )
    parser.add_argument(
        "--only",
        default="",
        help="CSV list of stretches: build only records that overlap one of them",
    )
    parser.add_argument(
        "--without",
        default="",
        help="CSV list of stretches: leave out records that lie wholly in one of them",
    )
    for name, default, meaning in (
        ("workers", Settings.workers, "decoding processes; default %(default)s"),
        (
            "parts",
            Settings.parts,
            f"number of parts; default: one for every {PART_BYTES / 1e9:g} GB",
        ),
        ("part", Settings.part, "part to build; default: all"),
        ("seconds", Limits.seconds, "time limit for one video, in seconds; default %(default)g"),
        ("gigabytes", Limits.gigabytes, "memory limit for one video, in GB; default %(default)g"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=meaning)
    parser.add_argument(
        "--beam_pipeline_options",
        default="",
        help="build the parts with Apache Beam: runner=DirectRunner,direct_num_workers=2",
    )
    parser.add_argument("--dry_run", action="store_true", help="build nothing; print an estimate")
    options = vars(parser.parse_args(argv))
    form = Form(**{field.name: options.pop(field.name) for field in dataclasses.fields(Form)})
    limits = Limits(options.pop("seconds"), options.pop("gigabytes"))
    settings = Settings(
        *(options.pop(key) for key in ("workers", "parts", "part")),
        limits,
        options.pop("beam_pipeline_options"),
    )
    lists = options.pop("only"), options.pop("without")
    dry, data_dir = options.pop("dry_run"), options.pop("data_dir")
    try:
        data_dir = local_path(data_dir, "--data_dir")
        options["selection"] = read_selection(*lists)
        options["manual_dir"] = local_path(options["manual_dir"], "--manual_dir")
        with system_problems_named(Path(data_dir)):
            if dry:
                found = dry_run(**options, form=form, settings=settings)
                print(text(found))
                return 0 if found.usable else 2
            for path in build(**options, data_dir=data_dir, form=form, settings=settings):
                print(path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The same command builds what is missing.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
