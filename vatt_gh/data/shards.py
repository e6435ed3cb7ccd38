"""Reads the bytes of records, by their numbers, from TFRecord shards."""

import dataclasses
import os

import numpy as np

from vatt_gh.data.unreadable import Unreadable
from vatt_gh.errors import UserError
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
    """

    files: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    blank: bytes
    unreadable: Unreadable

    def read(self, record: int) -> bytes:
        """The bytes of a record; `blank` if its checksum does not match.

        Raises:
            UserError: the shard is shorter than when it was indexed; too much is damaged.
        """
        self.unreadable.read()
        path = self.files[self.shard[record]]
        length, offset = int(self.length[record]), int(self.offset[record])
        with open(path, "rb", buffering=0) as file:
            try:
                data = os.pread(file.fileno(), length, offset)
                checksum = os.pread(file.fileno(), CHECKSUM.size, offset + length)
            except OSError as error:  # a bad sector
                reason = f"record {record} at byte {offset} cannot be read: {error.strerror}"
                self.unreadable.add(path, reason, record)
                return self.blank
        if len(data) != length or len(checksum) != CHECKSUM.size:
            raise UserError(
                f"Record {record} ends too early: {len(data)} of {length} bytes are there.",
                where=path,
                expected="the shard as it was built",
                todo="delete the records and build them again",
            )
        if CHECKSUM.unpack(checksum)[0] != masked_crc32c(data):
            reason = f"record {record} at byte {offset} does not fit its checksum"
            self.unreadable.add(path, reason, record)
            return self.blank
        return data
