"""Lists of stretches of videos that training uses, or leaves out."""

import csv
import dataclasses
import hashlib
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from vatt_gh.batch import MODALITIES
from vatt_gh.errors import UserError

SELECTION = "selection"  # in the metadata of records: the digest of the lists they were built by
COLUMNS = ("video_id", "start", "end", "modality")


class Stretches:
    """Stretches of videos.

    Args:
        rows: (video id, start s, end s, modality or "" for all).

    Attributes:
        modalities: modalities that some row applies to.
    """

    def __init__(self, rows: list[tuple[str, float, float, str]]):
        found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for video, start, end, modality in rows:
            for name in (modality,) if modality else MODALITIES:
                found[video, name].append((start, end))
        self.modalities = {name for _, name in found}
        self._ends = {key: np.array(sorted(pairs)) for key, pairs in found.items()}

    def holds(self, video: str, modality: str, times: np.ndarray) -> np.ndarray:
        """Tells which times lie in a stretch of a modality.

        Args:
            video: its id.
            modality: 'video', 'audio' or 'text'.
            times: [n] float, seconds in the video.

        Returns:
            [n] bool; the start of a stretch belongs to it, its end does not.
        """
        ends = self._ends.get((video, modality))
        if ends is None:
            return np.zeros(len(times), bool)
        inside = (ends[:, :1] <= times) & (times < ends[:, 1:])
        return inside.any(axis=0)

    def borders(self, video: str, modality: str) -> np.ndarray:
        """Lists starts and ends of its stretches of a video and a modality, [n] float, seconds."""
        return self._ends.get((video, modality), np.zeros((0, 2))).reshape(-1)


@dataclasses.dataclass(frozen=True)
class Selection:
    """The stretches of videos that are used.

    Attributes:
        only: parts to which their modalities are restricted; None: everything is used.
        without: parts that are not used; None: nothing is left out.
        digest: digest of both lists.
    """

    only: Stretches | None
    without: Stretches | None
    digest: str

    def allows(self, video: bytes | str, modality: str, times: np.ndarray) -> np.ndarray:
        """Tells which times of a video are used; see `Stretches.holds`."""
        name = video.decode() if isinstance(video, bytes) else video
        allowed = np.ones(len(times), bool)
        if self.only is not None and modality in self.only.modalities:
            allowed &= self.only.holds(name, modality, times)
        if self.without is not None:
            allowed &= ~self.without.holds(name, modality, times)
        return allowed

    def uses(self, video: str, start: float, end: float) -> bool:
        """Tells whether any time of a stretch of a video is used, of any modality.

        Args:
            video: its id.
            start, end: limits of the stretch, in seconds; the end may be infinite.
        """
        # Used time is a set of intervals; each includes its first time.
        lists = [x for x in (self.only, self.without) if x is not None]
        for modality in MODALITIES:
            firsts = np.concatenate([[start], *(x.borders(video, modality) for x in lists)])
            inside = firsts[(start <= firsts) & (firsts < end)]
            if self.allows(video, modality, inside).any():
                return True
        return False


def digest_of(selection: Selection | None) -> str:
    """Returns the digest that a checkpoint stores; "" where everything is used."""
    return "" if selection is None else selection.digest


def read_selection(only: str, without: str) -> Selection | None:
    """Reads the lists of data.only and data.without.

    Args:
        only, without: paths of CSV files with the columns video_id, and if wanted start, end
            (seconds; empty: the video's) and modality (video, audio or text; empty: all three).
            "": no such list.

    Returns:
        The selection; None: everything is used.

    Raises:
        UserError: a file cannot be read, or a row of it.
    """
    if not (only or without):
        return None
    digest = hashlib.sha256()
    lists = []
    for path in (only, without):
        lists.append(_read(Path(path)) if path else None)
        digest.update(Path(path).read_bytes() if path else b"\0")
    return Selection(*lists, digest.hexdigest()[:16])


def _read(path: Path) -> Stretches:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restval="")
            unknown = set(table.fieldnames or ()) - set(COLUMNS)
            if "video_id" not in (table.fieldnames or ()) or unknown:
                raise _error(path, f"Its columns are {', '.join(table.fieldnames or ())}.")
            rows = [_row(path, table.line_num, row) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _error(path, f"It cannot be read: {error}") from error
    if not rows:
        raise _error(path, "It has no row.")
    return Stretches(rows)


def _row(path: Path, line: int, row: dict[str, str]) -> tuple[str, float, float, str]:
    where = f"{path}, line {line}"
    if None in row:
        raise _error(where, "A row has more values than there are columns.")
    video, modality = row["video_id"], row.get("modality", "")
    try:
        start, end = float(row.get("start") or 0), float(row.get("end") or math.inf)
    except ValueError as error:
        raise _error(where, f"A time is not a number: {error}.") from error
    if not (video and 0 <= start < end and modality in ("", *MODALITIES)):
        raise _error(where, f"A row cannot be used: {', '.join(map(str, row.values()))}.")
    return video, start, end, modality


def _error(where: object, problem: str) -> UserError:
    return UserError(
        f"The list of stretches is not usable. {problem}",
        where=where,
        expected="a CSV file with the columns video_id, and if wanted start, end (seconds) and "
        f"modality ({', '.join(MODALITIES)})",
        todo="mend the file, or leave --config.data.only and --config.data.without empty",
    )
