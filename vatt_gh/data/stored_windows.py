"""Reads pictures and sound of a record's windows from each storage; tf.data graph functions.

The libraries that decode, crop and resize frames release Python's global interpreter lock.
"""

import functools
import operator
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vatt_gh.data.frames import View, put
from vatt_gh.data.unreadable import Unreadable
from vatt_gh.data.waiting import Waiting
from vatt_gh.media.example import byte_values, features
from vatt_gh.media.form import Form, MediaError
from vatt_gh.media.storages import STORAGES, PicturesAndSound, Storage
from vatt_gh.media.video import read_window

_BLOCK = 1 << 20  # bytes that are read at once

Example = dict[str, tf.Tensor]
# example, frames [N, T] int32 and sound samples [N, S] int32 wanted of N windows, their views ->
# [N, T, *views.size, 3] uint8 (black for an audio-only example), [N, S] int16 (zeros without
# sound), [] bool (False if it has become unreadable: both are zeros)
ReadWindows = Callable[
    [Example, tf.Tensor, tf.Tensor, View], tuple[tf.Tensor, tf.Tensor, tf.Tensor]
]
# The same outside of a graph, with the example's values that a storage needs.
Decode = Callable[..., tuple[np.ndarray, np.ndarray, bool]]


def windows_reader(
    form: Form, record: Callable[[int], bytes], folder: Path, unreadable: Unreadable
) -> ReadWindows:
    """Makes the reader of a record's windows; it decodes what several of them show once.

    Args:
        form: how the records are stored.
        record: the bytes of a record by its number.
        folder: folder of the originals, for a storage that reads them.
        unreadable: collects originals that can no longer be decoded.

    Returns:
        A function that reads windows of one example.
    """
    storage = STORAGES[form.storage]
    if storage.reads_originals:
        decode = _of_original(form, folder, unreadable)
        keys: tuple[str, ...] = ("path", "start", "height", "width")
    else:
        decode, keys = functools.partial(_of_record, storage, record), ("record",)

    def read(
        example: Example, frames: tf.Tensor, samples: tf.Tensor, views: View
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        given = [example[key] for key in keys] + [example["has_audio"], frames, samples, *views]
        kinds = [tf.uint8, tf.int16, tf.bool]
        pictures, sound, there = tf.numpy_function(decode, given, kinds, stateful=False)
        return (
            tf.ensure_shape(pictures, [*frames.shape, None, None, 3]),
            tf.ensure_shape(sound, samples.shape),
            tf.ensure_shape(there, []),
        )

    return read


def _of_record(
    storage: Storage, record: Callable[[int], bytes], number: int, *wanted: Any
) -> tuple[np.ndarray, np.ndarray, bool]:
    data = memoryview(record(int(number)))
    stored = features(data)

    def values(name: str) -> Iterator[memoryview]:
        return (data[slice(*extent)] for extent in byte_values(data, stored[name]))

    return *decoded_windows(functools.partial(storage.decoded, values), *wanted), True


def decoded_windows(
    decode: Callable[[np.ndarray, range], PicturesAndSound],
    has_audio: bool,
    frames: np.ndarray,
    samples: np.ndarray,
    *views: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes N windows of a segment in one go.

    Args:
        decode: decodes pictures, by their numbers, and a stretch of the sound, as
            `Storage.decoded`.
        has_audio: whether there is sound.
        frames: [N, T] int32, numbers of the wanted frames.
        samples: [N, S] int32, positions of the wanted sound.
        *views: fields of the windows' views, see `View`.

    Returns:
        [N, T, *size of the views, 3] uint8, black without pictures, and [N, S] int16, zeros without
        sound.
    """
    heard = range(samples.min(), samples.max() + 1) if has_audio else range(0)
    pictures, sound = decode(np.unique(frames), heard)
    seen = _seen(pictures, frames, View(*views))
    if not has_audio:
        return seen, np.zeros(samples.shape, np.int16)
    return seen, sound[samples - heard.start]


def _of_original(form: Form, folder: Path, unreadable: Unreadable) -> Decode:
    folder = Path(os.path.abspath(folder))
    waiting = Waiting()

    def read(
        path: bytes, start: np.float32, height: np.int32, width: np.int32, *wanted: Any
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        if not path:  # a blank record
            return *decoded_windows(_nothing, *wanted), True
        # Counted from the beginning of the video instead of the segment.
        first = round(float(start) * form.fps)
        sample = round(first / form.fps * form.audio_rate)

        def decode(numbers: np.ndarray, samples: range) -> PicturesAndSound:
            shown = int(numbers[0])
            frames = range(first + shown, first + int(numbers[-1]) + 1)
            samples = range(samples.start + sample, samples.stop + sample)
            size = int(height), int(width)
            file = _inside(folder, path.decode())
            pictures, sound = read_window(file, form, frames, samples, size)
            return enumerate(pictures, shown), sound

        def once() -> tuple[np.ndarray, np.ndarray] | MediaError:
            try:
                return decoded_windows(decode, *wanted)
            except MediaError as error:
                return error

        def attempt() -> tuple[tuple[np.ndarray, np.ndarray] | MediaError, bool]:
            """Returns what it shows, and whether the file is away, all of it or a part."""
            found = once()
            # FFmpeg also reports damage as a failure of the disk.
            if not (isinstance(found, MediaError) and isinstance(found.__cause__, OSError)):
                return found, False
            if not _is_readable(found.path):
                return found, True
            return once(), False  # damaged, unless the disk gives now what it refused

        found, _ = waiting.until_there(path.decode(), str(folder), attempt, operator.itemgetter(1))
        if isinstance(found, MediaError):
            unreadable.add(found.path, found.reason, (path, first))
            return *decoded_windows(_nothing, *wanted), False
        return *found, True

    return read


def _is_readable(path: str) -> bool:
    """Tells whether a file can be read to its end."""
    try:
        with open(path, "rb") as file:
            while file.read(_BLOCK):
                pass
    except OSError:
        return False
    return True


def _inside(folder: Path, path: str) -> Path:
    """Finds a file of a folder; foreign records may name any path."""
    whole = os.path.normpath(folder / path)
    if not Path(whole).is_relative_to(os.path.abspath(folder)):
        raise MediaError(path, "its record names a file outside of manual_dir")
    return Path(whole)


def _nothing(numbers: np.ndarray, samples: range) -> PicturesAndSound:
    return (), np.zeros(len(samples), np.int16)


def _seen(
    pictures: Iterable[tuple[int, np.ndarray]], frames: np.ndarray, views: View
) -> np.ndarray:
    """Applies their windows' views to the numbered frames, [N, T, *views.size, 3] uint8.

    Uses each picture as soon as it is decoded, so that only one is in memory. If the file has lost
    a frame since it was measured, its last frame is repeated. Without frames it is black.
    """
    seen = np.zeros((*frames.shape, *views.size, 3), np.uint8)
    each = [View(*one, views.size) for one in zip(views.crop, views.mirrored, strict=True)]
    number, picture = -1, None
    for number, picture in pictures:
        for window, place in zip(*np.nonzero(frames == number), strict=True):
            put(picture, each[window], seen[window, place])
    if picture is not None:
        for window, place in zip(*np.nonzero(frames > number), strict=True):
            put(picture, each[window], seen[window, place])
    return seen
