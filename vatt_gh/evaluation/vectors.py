"""Vectors of the windows of many files: Parquet shards of some files each, read in blocks.

FOLDER/extraction.json         the origin of the vectors
       video-0-00000.parquet   one row per window with pictures
       audio-0-00000.parquet   one row per window with sound
       shard-0-00000.json      the files of the shard, written last: without it the rest of
                               the shard does not count
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vatt_gh.batch import AUDIOVISUAL
from vatt_gh.errors import UserError, changed_settings
from vatt_gh.evaluation.embedder import Embedded
from vatt_gh.files import read_list, read_object, replacing, write_whole
from vatt_gh.locks import locked

_ROW_GROUP = 8192  # rows of a row group: blocks of some MB
_ABOUT = "extraction.json"


@dataclasses.dataclass(frozen=True)
class VectorBlock:
    """Some windows and one vector of each.

    Attributes:
        video_ids: [n] str.
        start, end: [n] float32, seconds in the file.
        vectors: [n, D] float32.
    """

    video_ids: np.ndarray
    start: np.ndarray
    end: np.ndarray
    vectors: np.ndarray


@dataclasses.dataclass(frozen=True)
class Vectors:
    """A folder of vectors.

    Attributes:
        folder: path of the folder.
    """

    folder: Path

    def about(self) -> dict[str, Any]:
        """Reads the vectors' origin: 'weights' (a digest), 'videos', 'every', form of the files.

        Raises:
            UserError: there are none.
        """
        return read_object(
            self.folder / _ABOUT,
            "There are no vectors",
            expected="a folder that --config.mode=extract has written",
            todo="extract first, or give its folder as --config.extract.to",
        )

    def claim(self, about: Mapping[str, Any]) -> None:
        """Records the origin of the vectors; refuses to add to vectors of another origin.

        Raises:
            UserError: the folder holds vectors of another checkpoint, form or folder of files.
        """
        with locked(self.folder / ".lock"):
            if not (self.folder / _ABOUT).exists():
                write_whole(self.folder / _ABOUT, json.dumps(about, indent=1) + "\n")
        differ = changed_settings(self.about(), about)
        if differ:
            raise UserError(
                "The folder holds other vectors.",
                where=self.folder,
                expected=f"the same, to add to them; they differ in {'; '.join(differ)}",
                todo="give another --config.extract.to, or delete this folder",
            )

    def files(self) -> list[dict[str, Any]]:
        """Reads the rows of all finished files, the newest row of each.

        Returns:
            {'video_id', 'windows', 'seconds', 'size' (bytes) and 'changed' (ns) of the file,
            'error' or None, 'remarks', 'shard': name of the shard's JSON file}.
        """
        return list(_newest(self._shards()).values())

    def _shards(self) -> dict[Path, list[dict[str, Any]]]:
        """Reads the rows of each finished shard, the oldest first."""
        paths = sorted(self.folder.glob("shard-*.json"), key=_age)
        return {path: read_list(path) for path in paths}

    def write(
        self,
        writer: int,
        files: Sequence[Mapping[str, Any]],
        video_ids: Sequence[str],
        windows: Embedded | None,
    ) -> None:
        """Writes a shard.

        Args:
            writer: number of this process, which numbers its own shards.
            files: rows for `files`, without 'shard'; they replace older rows of these files.
            video_ids: [n], video id of each window.
            windows: their vectors; None: there is no window.
        """
        taken = [int(p.stem.split("-")[2]) for p in self.folder.glob(f"shard-{writer}-*.json")]
        name = f"{writer}-{max(taken, default=-1) + 1:05d}"
        for modality in AUDIOVISUAL:
            path = self.folder / f"{modality}-{name}.parquet"
            path.unlink(missing_ok=True)  # left by a process that was killed before it finished
            if windows is not None and windows.masks[modality].any():
                table = _table(np.array(video_ids, object), windows, modality)
                with replacing(path) as partial:
                    pq.write_table(
                        table,
                        partial,
                        row_group_size=_ROW_GROUP,
                        # Vectors neither repeat nor compress.
                        use_dictionary=["video_id", "modality"],
                        compression="none",
                    )
        write_whole(self.folder / f"shard-{name}.json", json.dumps(list(files), indent=1) + "\n")

    def blocks(self, modality: str, column: str) -> Iterator[VectorBlock]:
        """Reads one vector of every window, a block at a time.

        Args:
            modality: 'video' or 'audio'.
            column: 'features', or an embedding such as 'video_to_text'.

        Yields:
            Blocks of at most some thousand windows, in the order of the shards.

        Raises:
            UserError: a shard lacks the column, or cannot be read.
        """
        shards = self._shards()
        newest = _newest(shards)
        for index in sorted(shards):
            path = index.with_name(index.name.replace("shard", modality, 1)).with_suffix(".parquet")
            if path.exists():  # else the shard has no window of this modality
                names = [row["video_id"] for row in shards[index]]
                old = {name for name in names if newest[name]["shard"] != index.name}
                yield from _blocks_of(path, column, old)


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name


def _newest(shards: Mapping[Path, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Returns the last row of each file by its id, with its shard."""
    return {
        row["video_id"]: {**row, "shard": path.name}
        for path, rows in shards.items()
        for row in rows
    }


def _blocks_of(path: Path, column: str, without: set[str]) -> Iterator[VectorBlock]:
    columns = ["video_id", "start", "end", column]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROW_GROUP, columns=columns):
                ids, start, end, vectors = (batch[name] for name in columns)
                block = VectorBlock(
                    video_ids=np.array(ids.to_pylist(), object),
                    start=start.to_numpy(),
                    end=end.to_numpy(),
                    vectors=vectors.flatten().to_numpy().reshape(len(batch), -1),
                )
                yield _without(block, without) if without else block
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"The vectors cannot be read: {error}",
            where=path,
            expected=f"a Parquet file with {', '.join(columns)}",
            todo=f"delete {path.name.replace(path.name.split('-')[0], 'shard', 1)[:-8]}.json and "
            "extract again",
        ) from error


def _without(block: VectorBlock, video_ids: set[str]) -> VectorBlock:
    kept = np.array([name not in video_ids for name in block.video_ids], bool)
    parts = (block.video_ids, block.start, block.end, block.vectors)
    return VectorBlock(*(part[kept] for part in parts))


def _table(video_ids: np.ndarray, windows: Embedded, modality: str) -> pa.Table:
    """Makes a table of the windows that have the modality."""
    there = windows.masks[modality]
    vectors = {"features": windows.features[modality]}
    vectors |= {n: x for n, x in windows.embeddings.items() if n.startswith(f"{modality}_to_")}
    return pa.table(
        {
            "video_id": video_ids[there].tolist(),
            "start": windows.start[there],
            "end": windows.end[there],
            "modality": [modality] * int(there.sum()),
            **{name: _fixed(x[there]) for name, x in vectors.items()},
        }
    )


def _fixed(vectors: np.ndarray) -> pa.FixedSizeListArray:
    flat = np.ascontiguousarray(vectors, np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1])


def relative_id(path: str, folder: Path) -> str:
    """Returns a file's id: its path from the folder, with slashes."""
    return os.path.relpath(path, folder).replace(os.sep, "/")
