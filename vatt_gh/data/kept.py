"""The windows of one epoch, drawn once and kept decoded beside the records.

A small model consumes windows faster than they can be read; for a small data set all of them fit.
Runs with the same settings share one folder, which is complete or absent.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.records import Source, read_on
from vatt_gh.data.text import Tokenizer
from vatt_gh.data.windows import FULL_SCALE, training_windows
from vatt_gh.errors import UserError
from vatt_gh.files import check_room, making
from vatt_gh.locks import locked

# Settings of config.data that affect a window's content.
_SETTINGS = (
    "frames",
    "fps",
    "size",
    "audio_samples",
    "candidates",
    "caption_reach",
    "augmentation",
    "min_area",
    "flip",
    "windows_per_segment",
)
_FORMAT = 1  # version of the folder


class KeptWindows:
    """Windows of a data set on the local disk, memory-mapped.

    Args:
        folder: folder written by `kept_windows`.
    """

    def __init__(self, folder: Path):
        self._arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}

    @property
    def count(self) -> int:
        """Number of windows: records x windows_per_segment."""
        return len(self._arrays[names.VIDEO])

    def rows(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Copies windows.

        Args:
            rows: [n] int64, their numbers.

        Returns:
            [n, ...] arrays of a batch, without 'index' and 'colour'.
        """
        found = {name: values[rows] for name, values in self._arrays.items()}
        return found | {names.AUDIO: found[names.AUDIO].astype(np.float32) / FULL_SCALE}


def kept_windows(source: Source, tokenizer: Tokenizer, data: ConfigDict) -> KeptWindows:
    """Opens the windows of a data set; draws them first if they are missing.

    They depend on the records and on settings of `data`, but not on the run's seed, so that
    runs with other seeds share them.

    Args:
        source: the records.
        tokenizer: tokenizer for the captions.
        data: section `data` of the configuration.

    Returns:
        The windows.

    Raises:
        UserError: the disk is full, or a record is damaged: kept windows would hide it.
    """
    folder = source.directories[0] / f"windows-{_digest(source, tokenizer, data)}"
    if not folder.exists():
        with locked(folder.parent / ".kept.lock"):
            if not folder.exists():  # else another process has drawn them
                with making(folder) as made:
                    _fill(made, source, tokenizer, data)
    return KeptWindows(folder)


def _digest(source: Source, tokenizer: Tokenizer, data: ConfigDict) -> str:
    settings = {name: data[name] for name in _SETTINGS} | {"words": tokenizer.length}
    if source.selection is not None:
        settings["selection"] = source.selection.digest
    shards = [[Path(f).name, os.path.getsize(f)] for f in source.shards.files]
    known = [_FORMAT, settings, shards, source.count, tokenizer.words]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def _fill(folder: Path, source: Source, tokenizer: Tokenizer, data: ConfigDict) -> None:
    count = source.count * data.windows_per_segment
    check_room(
        folder,
        count * (3 * data.frames * data.size**2 + 2 * data.audio_samples),
        f"{count} decoded windows take",
        expected="room for all windows of an epoch",
        todo="free some space, or train with --config.data.keep_windows=False",
    )
    arrays: dict[str, np.ndarray] = {}
    ids: list[bytes] = []
    places = range(0, count, data.windows_per_segment)
    # Closed after errors too: tf.data hangs if the interpreter ends before its iterators.
    with closing(_drawn(source, tokenizer, data)) as drawn:
        for first, windows in zip(places, drawn, strict=True):
            ids.extend(windows.pop(names.VIDEO_ID))
            # As stored: half the size, without loss.
            windows[names.AUDIO] = np.rint(windows[names.AUDIO] * FULL_SCALE).astype(np.int16)
            for name, values in windows.items():
                if name not in arrays:
                    path, shape = folder / f"{name}.npy", (count, *values.shape[1:])
                    arrays[name] = np.lib.format.open_memmap(path, "w+", values.dtype, shape)
                arrays[name][first : first + len(values)] = values
    np.save(folder / f"{names.VIDEO_ID}.npy", np.array(ids))
    for array in arrays.values():
        array.flush()
    if len(source.unreadable):
        raise UserError(
            f"{len(source.unreadable)} records or files are damaged; their windows cannot be kept.",
            where=source.directories[0],
            expected="records as they were built",
            todo="build them again, or train with --config.data.keep_windows=False, which skips "
            "damaged ones",
        )


def _drawn(
    source: Source, tokenizer: Tokenizer, data: ConfigDict
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the windows of each record, [windows_per_segment, ...]; reads a record once."""
    each = data.windows_per_segment

    def draw(record: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = record * each + tf.range(each, dtype=tf.int64)
        seeds = tf.stack([tf.zeros_like(rows), rows], axis=1)
        return training_windows(source.read(record), source, tokenizer, data, seeds)

    records = tf.data.Dataset.range(source.count)
    windows = records.map(draw, num_parallel_calls=data.parallel_reads, deterministic=True)
    yield from read_on(windows.prefetch(2), [source])
