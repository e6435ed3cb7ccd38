"""The position of every record in its TFRecord shard, for random access."""

import dataclasses
import os
import zipfile
from pathlib import Path

import numpy as np

from vatt_gh.errors import UserError
from vatt_gh.files import replacing
from vatt_gh.media.tfrecord import CHECKSUM, HEADER

INDEX_FILE = "records.index.npz"
_INDEX_ARRAYS = ("names", "sizes", "shard", "offset", "length")
# Path in a finished version of a TFDS configuration; unfinished ones may lie beside it: TFDS writes
# everything into a folder "incomplete..." and renames it last.
FINISHED = "[0-9]*/dataset_info.json"


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """Positions of all records, shard by shard.

    Attributes:
        files: the shards.
        shard: [N] int32, index of each record's shard in `files`.
        offset: [N] int64, start of the record's data.
        length: [N] int64, bytes.
    """

    files: list[Path]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray


def write_index(version_dir: Path) -> RecordIndex:
    """Indexes all shards of a data set and stores the index beside them.

    Args:
        version_dir: holds *.tfrecord-* shards.

    Returns:
        The index.

    Raises:
        UserError: a shard ends in the middle of a record.
    """
    files = sorted(Path(version_dir).glob("*.tfrecord*"))
    rows = [(number, *place) for number, file in enumerate(files) for place in _places(file)]
    table = np.array(rows, np.int64).reshape(-1, 3)
    with replacing(Path(version_dir) / INDEX_FILE) as partial, partial.open("wb") as file:
        np.savez(
            file,
            names=np.array([file.name for file in files]),
            sizes=np.array([file.stat().st_size for file in files], np.int64),
            shard=table[:, 0].astype(np.int32),
            offset=table[:, 1],
            length=table[:, 2],
        )
    return load_index(version_dir)


def load_index(version_dir: Path) -> RecordIndex:
    """Reads the index of a data set; writes it first if it is missing.

    Args:
        version_dir: holds the shards.

    Returns:
        The index.

    Raises:
        UserError: the index is damaged; a shard is missing or its size has changed since it was
            indexed.
    """
    path = Path(version_dir) / INDEX_FILE
    if not path.exists():
        return write_index(version_dir)
    try:
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in _INDEX_ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"The index of the records cannot be read: {error}",
            where=path,
            expected="the file as the build wrote it",
            todo="delete it: it is made again from the shards",
        ) from error
    files = [Path(version_dir) / str(name) for name in arrays["names"]]
    for file, size in zip(files, arrays["sizes"], strict=True):
        actual = file.stat().st_size if file.exists() else None
        if actual != size:
            state = "is missing" if actual is None else f"has {actual} bytes"
            raise UserError(
                f"A shard {state}; it had {size} bytes when it was indexed.",
                where=file,
                expected="the shards as they were built",
                todo=f"build the records again, or delete {INDEX_FILE} if the change is wanted",
            )
    return RecordIndex(files, arrays["shard"], arrays["offset"], arrays["length"])


def _places(path: Path) -> list[tuple[int, int]]:
    """Finds (offset, length) of every record of a shard."""
    places = []
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        position = 0
        while position < size:
            header = os.pread(file.fileno(), HEADER.size, position)
            length = HEADER.unpack(header)[0] if len(header) == HEADER.size else size
            begin = position + HEADER.size
            position = begin + length + CHECKSUM.size
            if position > size:
                raise UserError(
                    f"A shard ends in the middle of record {len(places)}.",
                    where=path,
                    expected="whole records",
                    todo="build the records again",
                )
            places.append((begin, length))
    return places
