"""Collects unreadable records and files: reports each once, counts and lists it, reads on."""

import json
import sys
import threading
from pathlib import Path

from vatt_gh.errors import UserError, printable

_SEVERAL = 8  # fewer damaged records are no meaningful share
_ENOUGH = 1000  # fewer records are no reliable share: neighbours often come from one file
_RECENT = 100_000  # most reads that a share is computed from; older ones say little


class Unreadable:
    """Files and records that could not be read; shared by threads.

    Args:
        count: number of records.
        share: share of the records read within an epoch, or within 100,000 reads where that is
            less, that may fail before the run ends.

    Attributes:
        log: file that gets a row {"path", "reason"} for each, if set.
        error: the error that ended the run, or None.
    """

    def __init__(self, count: int = 0, share: float = 1.0):
        self.log: Path | None = None
        self.error: UserError | None = None
        self._count, self._share = count, share
        self._seen: set[tuple[str, str]] = set()
        self._failed: dict[object, int] = {}  # records, by the read at which each failed last
        self._reads = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def seen(self) -> set[tuple[str, str]]:
        """(path, reason) of each."""
        return self._seen

    def expect(self, count: int) -> None:
        """Prepares for another set of records.

        Args:
            count: number of its records.
        """
        self._count = max(self._count, count)

    def read(self) -> None:
        """Counts a record that is read, successfully or not."""
        with self._lock:
            self._reads += 1

    def add(self, path: str | Path, reason: str, record: object) -> None:
        """Notes an unreadable record or file, unless it is already noted.

        Args:
            path: the file.
            reason: one sentence.
            record: identifies the record.

        Raises:
            UserError: too much has failed.
        """
        with self._lock:
            if (str(path), reason) not in self._seen:
                self._seen.add((str(path), reason))
                print(printable(f"left out: {path}: {reason}"), file=sys.stderr, flush=True)
                if self.log is not None:
                    with self.log.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"path": str(path), "reason": reason}) + "\n")
            failed, read = self._recently(record)
            base = max(read, min(_ENOUGH, self._count))
            if failed >= min(_SEVERAL, self._count) and failed > self._share * base:
                self.error = UserError(
                    f"{failed} of the last {read} records that were read are damaged or gone; the "
                    f"last one: {reason}.",
                    where=path,
                    expected=f"at most {100 * self._share:g} % (config.data.unreadable_share)",
                    todo="mount or copy the files there, or build the records again",
                )
                raise self.error

    def _recently(self, record: object) -> tuple[int, int]:
        """Notes that a record fails; returns how many have failed, and of how many reads."""
        recent = min(self._count, _RECENT)
        self._failed.pop(record, None)
        self._failed[record] = self._reads  # the last entry; the oldest is the first
        while (oldest := next(iter(self._failed))) != record and (
            self._failed[oldest] <= self._reads - recent
        ):
            del self._failed[oldest]
        return len(self._failed), max(min(self._reads, recent), len(self._failed))
