"""Parts of a build: which exist, which are done, and which are being built."""

import contextlib
import dataclasses
import functools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from vatt_gh.config.training import DATA
from vatt_gh.data.record_index import FINISHED
from vatt_gh.errors import UserError
from vatt_gh.locks import claimed, shared
from vatt_gh.media.form import Form
from vatt_gh.media.workers import Limits

PART_BYTES = 8_000_000_000  # bytes of videos in a part, if the number of parts is not given
_NAME = re.compile(r"(?P<base>.+?)(-part(?P<part>\d+)of(?P<parts>\d+))?")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a build runs; the records do not depend on it.

    Attributes:
        workers: decoding processes.
        parts: number of parts; 0: see `parts_of`.
        part: the part to build, from 1; 0: all that no other process builds.
        limits: limits on time and memory for one video.
        beam: options of a Beam pipeline that builds the parts; "": build them here.
    """

    workers: int = DATA["build_workers"].default
    parts: int = 0
    part: int = 0
    limits: Limits = dataclasses.field(default_factory=Limits)
    beam: str = ""


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a build: its own TFDS data set.

    Attributes:
        folder: DATA_DIR/NAME, shared by all parts.
        form: how videos are stored.
        number: number of this part, from 1.
        parts: number of parts.
    """

    folder: Path
    form: Form
    number: int
    parts: int

    @property
    def config_name(self) -> str:
        """Name of its TFDS configuration and of its directory."""
        base = f"{self.form.storage}_{self.form.short_side}_{self.form.fps:g}fps"
        # TFDS reserves the names of a builder's own configs for their own settings.
        return base if self.parts == 1 else f"{base}-part{self.number:03d}of{self.parts:03d}"

    def finished(self) -> Path | None:
        """Returns its version directory if it is done."""
        done = (self.folder / self.config_name).glob(FINISHED)
        return next((info.parent for info in sorted(done)), None)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[bool]:
        """Yields whether this process may build it; if so, deletes what a dead process left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        notes = functools.partial(_without_notes, self.folder)
        building = shared(self.folder / ".building.lock", notes)
        with building, claimed(self.folder / f".{self.config_name}.lock") as mine:
            home = self.folder / self.config_name
            for left in [*home.glob("incomplete.*"), *home.glob("spool*")] if mine else ():
                shutil.rmtree(left, ignore_errors=True)
            yield mine


def _without_notes(folder: Path) -> None:
    """Deletes the notes that TFDS was writing when it was killed."""
    for left in folder.glob(".config/incomplete.*"):
        left.unlink(missing_ok=True)


def parts_of(folder: Path, form: Form, wanted: int, size: int) -> list[Part]:
    """Lists the parts of a build.

    Args:
        folder: DATA_DIR/NAME.
        form: how videos are stored.
        wanted: number of parts; 0: as in an earlier build, else from the videos' size.
        size: bytes of all videos.

    Returns:
        All parts, done or not.

    Raises:
        UserError: an earlier build had another number of parts.
    """
    single = Part(folder, form, 1, 1).config_name
    earlier = set()
    for config in folder.glob("*/"):
        match = _NAME.fullmatch(config.name)
        if match and match["base"] == single and any(config.glob(FINISHED)):
            earlier.add(int(match["parts"] or 1))
    if earlier and wanted and earlier != {wanted}:
        raise UserError(
            f"An earlier build has {', '.join(map(str, sorted(earlier)))} part(s), not {wanted}.",
            where=folder,
            expected="the same number of parts, so that no video is in two of them",
            todo=f"give --parts={min(earlier)}, or another --data_dir",
        )
    count = wanted or max(earlier, default=max(1, -(-size // PART_BYTES)))
    return [Part(folder, form, number, count) for number in range(1, count + 1)]
