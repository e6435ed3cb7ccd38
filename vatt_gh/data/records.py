"""The records of a built data set: where they lie, what they hold, random access to each."""

import dataclasses
import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from vatt_gh.data.record_index import load_index
from vatt_gh.errors import UserError
from vatt_gh.media.form import Form

WORDS_FILE = "words.json"  # {word: count} of all captions, written when records are built


@dataclasses.dataclass(frozen=True)
class Source:
    """A built data set.

    Attributes:
        directory: of one version of the data set.
        fps: frames a second.
        audio_rate: of the sound, in Hz.
        count: number of records.
        files: the shards.
        shard: [count] int32, place of each record's shard in `files`.
        offset: [count] int64, where the record's bytes begin in its shard.
        length: [count] int64, bytes.
        features: TFDS features, to parse a record.
    """

    directory: Path
    fps: float
    audio_rate: int
    count: int
    files: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    features: Any

    def read(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads and parses a record, in a tf.data graph.

        Args:
            record: [] int64, number of the record.

        Returns:
            The example; 'frames' stay JPEG bytes [F] and are decoded where they are needed.
        """
        serialized = tf.numpy_function(self.read_bytes, [record], tf.string, stateful=False)
        serialized.set_shape([])
        return self.features.deserialize_example(
            serialized, decoders={"frames": tfds.decode.SkipDecoding()}
        )

    def read_bytes(self, record: int) -> bytes:
        """The bytes of a record.

        Raises:
            UserError: the shard is shorter than when its index was made.
        """
        path = self.files[self.shard[record]]
        length = int(self.length[record])
        with open(path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), length, int(self.offset[record]))
        if len(data) != length:
            raise UserError(
                f"Record {record} ends too early: {len(data)} of {length} bytes are there.",
                where=path,
                expected="the shard as it was built",
                todo="delete the records and build them again",
            )
        return data


def open_source(directory: Path) -> Source:
    """Opens one version of a built data set.

    Args:
        directory: holds dataset_info.json and the shards.

    Returns:
        The source.

    Raises:
        UserError: the shards do not fit their index, or there is no record.
    """
    builder = tfds.builder_from_directory(str(directory))
    index = load_index(directory)
    metadata = builder.info.metadata
    if not len(index.shard):
        raise UserError(
            "The data set holds no record.",
            where=directory,
            expected="at least one segment of a video",
            todo="see skipped.jsonl of the build for what was left out and why",
        )
    return Source(
        directory=Path(directory),
        fps=float(metadata["fps"]),
        audio_rate=int(metadata["audio_rate"]),
        count=len(index.shard),
        files=tuple(str(path) for path in index.files),
        shard=index.shard,
        offset=index.offset,
        length=index.length,
        features=builder.info.features,
    )


def find_records(name: str, data_dir: str) -> Path | None:
    """The version directory of a built data set.

    Args:
        name: of the builder.
        data_dir: as given to the build.

    Returns:
        The directory, or None where nothing is built yet.

    Raises:
        UserError: there are several.
    """
    found = sorted(path.parent for path in (Path(data_dir) / name).glob("*/*/dataset_info.json"))
    if len(found) > 1:
        raise UserError(
            "Several data sets were built into one directory.",
            where=data_dir,
            expected=f"one configuration and version of {name}",
            todo=f"give another data_dir, or delete all but one of {', '.join(map(str, found))}",
        )
    return found[0] if found else None


def find_or_build(config: ConfigDict) -> Path:
    """The records of `data.data_dir`; builds them from `data.manual_dir` where there are none.

    Args:
        config: the whole configuration.

    Returns:
        The version directory.

    Raises:
        UserError: there are no records and nothing to build them from.
    """
    data = config.data
    if not data.data_dir:
        raise UserError(
            "No data directory is given.",
            where="config.data.data_dir",
            expected="the directory with the records, or one to build them into",
            todo="add --config.data.data_dir=DIR, and --config.data.manual_dir=DIR with videos "
            "and captions where no records exist yet",
        )
    found = find_records(data.builder, data.data_dir)
    if found is not None:
        return found
    if not data.manual_dir:
        raise UserError(
            f"There are no {data.builder} records, and nothing to build them from.",
            where=f"config.data.data_dir = {data.data_dir}",
            expected="records built by python -m tfds_builders.build",
            todo="add --config.data.manual_dir=DIR, the directory with videos and captions",
        )
    # By name: nothing in vatt_gh depends on the builders.
    build = importlib.import_module("tfds_builders.build").build
    return build(
        data.builder,
        manual_dir=data.manual_dir,
        data_dir=data.data_dir,
        form=Form(
            fps=data.build_fps,
            short_side=data.build_short_side,
            audio_rate=data.build_audio_rate,
            segment_seconds=data.build_segment_seconds,
        ),
        workers=data.build_workers,
    )
