"""Reads the bytes of records, by their numbers, from TFRecord shards."""

import dataclasses
import os

import numpy as np

from vatt_gh.data.unreadable import Unreadable
from vatt_gh.data.waiting import Waiting
from vatt_gh.media.tfrecord import CHECKSUM, masked_crc32c


@dataclasses.dataclass(frozen=True, eq=False)
class Shards:
    """All shards of a data set.

    Attributes:
        files: the shards.
        shard: [N] int32, index of each record's shard in `files`.
        offset: [N] int64, start of the record's data in its shard.
        length: [N] int64, bytes.
        blank: replaces a damaged record.
        unreadable: collects the damaged ones.
        waiting: waits for shards that are away.
    """

    files: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    blank: bytes
    unreadable: Unreadable
    waiting: Waiting = dataclasses.field(default_factory=Waiting)

    def read(self, record: int) -> bytes:
        """Reads the bytes of a record; returns `blank` if they are unreadable or fail the checksum.

        Reads again what the system refuses, or gives in part, see `Waiting`.

        Raises:
            UserError: too much is damaged or gone.
        """
        self.unreadable.read()
        path = self.files[self.shard[record]]
        data, checksum, reason = self.waiting.until_there(
            path,
            os.path.dirname(path),
            lambda: self._attempt(path, record),
            lambda found: bool(found[2]),
        )
        if not reason and CHECKSUM.unpack(checksum)[0] != masked_crc32c(data):
            reason = f"at byte {self.offset[record]} does not fit its checksum"
        if reason:
            self.unreadable.add(path, f"record {record} {reason}", (path, record))
            return self.blank
        return data

    def _attempt(self, path: str, record: int) -> tuple[bytes, bytes, str]:
        """Reads a record once: its bytes, their checksum, and "" or why they are not whole."""
        length, offset = int(self.length[record]), int(self.offset[record])
        try:
            with open(path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), length, offset)
                checksum = os.pread(file.fileno(), CHECKSUM.size, offset + length)
        except OSError as error:  # a bad sector, or a disk that is not there
            return b"", b"", f"at byte {offset} cannot be read: {error.strerror}"
        whole = len(data) == length and len(checksum) == CHECKSUM.size
        said = f"ends too early: {len(data)} of {length} bytes are there"
        return data, checksum, "" if whole else said
