"""TFRecord files without TensorFlow: records and their checksums.

A record is its length (8 bytes, little endian), the checksum of the length (4), the data, and the
checksum of the data (4).
"""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

HEADER = struct.Struct("<QI")
CHECKSUM = struct.Struct("<I")
# The upper half of the length of a record below 4 GiB: the pattern to search for.
_ZEROS = re.compile(rb"\0{4,}")
_CHUNK = 1 << 20


def masked_crc32c(data: bytes) -> int:
    """Computes TFRecord's checksum: CRC-32C, rotated and offset to be stored with its data.

    Args:
        data: any bytes.

    Returns:
        An unsigned 32-bit number.
    """
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: Path, errors: list[dict[str, str]]) -> Iterator[tuple[int, bytes]]:
    """Reads the records of a file whose checksums match.

    After a broken record, reading continues at the next valid length with its checksum.

    Args:
        path: a TFRecord file, not compressed.
        errors: gets a row {"path", "reason"} for every unreadable place.

    Yields:
        The position of the record in bytes, and its data.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        size, offset = os.fstat(file.fileno()).st_size, 0
        while offset < size:
            file.seek(offset)
            length = _length(file.read(HEADER.size))
            end = None if length is None else offset + HEADER.size + length + CHECKSUM.size
            if end is None:
                reason = "its length and the checksum of that disagree"
            elif end > size:
                reason = f"the file ends {end - size} bytes before it does"
            else:
                data = file.read(length)
                if file.read(CHECKSUM.size) == CHECKSUM.pack(masked_crc32c(data)):
                    yield offset, data
                    offset = end
                    continue
                reason = "its data and their checksum disagree"
            # Not simply at the end of this one: part of the file may be lost.
            following = _next_header(file, offset + 1, size)
            where = (
                f"the record at byte {offset} is broken, {following - offset} bytes are left out"
            )
            errors.append({"path": str(path), "reason": f"{where}: {reason}"})
            offset = following


def _length(header: bytes) -> int | None:
    """Reads the length of the record that begins with these bytes; None: they are no header."""
    if len(header) < HEADER.size:
        return None
    length, checksum = HEADER.unpack(header)
    return length if checksum == masked_crc32c(header[:8]) else None


def _next_header(file: BinaryIO, start: int, size: int) -> int:
    """Finds the position of the next possible record, or the end of the file."""
    while start + HEADER.size <= size:
        file.seek(start)
        chunk = file.read(_CHUNK)
        for zeros in _ZEROS.finditer(chunk):
            # Long runs of zeros are holes in the file. A header is only at their end, because its
            # checksum, the next 4 bytes, is not zero.
            for upper in range(max(4, zeros.start(), zeros.end() - 7), zeros.end() - 3):
                if _length(chunk[upper - 4 : upper - 4 + HEADER.size]) is not None:
                    return start + upper - 4
        if start + len(chunk) >= size or len(chunk) < HEADER.size:
            break
        start += len(chunk) - (HEADER.size - 1)  # a header may span two chunks
    return size
