"""Reads pictures and sound of a record's windows from each storage; tf.data graph functions.

The libraries that decode, crop and resize frames release Python's global interpreter lock.
"""

import functools
import itertools
import operator
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vatt_gh.data.unreadable import Unreadable
from vatt_gh.data.video import View, put
from vatt_gh.data.waiting import Waiting
from vatt_gh.media.example import byte_values, features
from vatt_gh.media.form import Form, MediaError
from vatt_gh.media.mp4 import from_mp4
from vatt_gh.media.pictures import from_jpeg
from vatt_gh.media.sound import from_flac
from vatt_gh.media.video import read_window

# Features with pictures and sound, by storage: too large to copy whole.
STORED = {"jpeg": ("frames", "audio"), "mp4": ("video", "audio"), "index": ()}
_BLOCK = 1 << 20  # bytes that are read at once
_SILENCE = np.zeros(0, np.int16)

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
        folder: folder of the originals of storage 'index'.
        unreadable: collects originals that can no longer be decoded.

    Returns:
        A function that reads windows of one example.
    """
    decode: Decode
    if form.storage == "index":
        decode = _of_original(form, folder, unreadable)
        keys: tuple[str, ...] = ("path", "start", "height", "width")
    else:
        of_record = {"jpeg": _of_jpeg, "mp4": _of_mp4}[form.storage]
        decode, keys = functools.partial(of_record, record), ("record",)

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


def _of_jpeg(
    record: Callable[[int], bytes],
    number: int,
    has_audio: bool,
    frames: np.ndarray,
    samples: np.ndarray,
    *views: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, bool]:
    data = memoryview(record(int(number)))
    stored = features(data)
    images = itertools.islice(byte_values(data, stored["frames"]), int(frames.max()) + 1)
    jpegs = [data[slice(*span)] for span in images]
    audio = None
    if has_audio:
        (span,) = byte_values(data, stored["audio"])
        audio = np.frombuffer(data[slice(*span)], np.int16)
    return *decoded_windows(jpegs, audio, frames, samples, View(*views)), True


def decoded_windows(
    jpegs: Sequence[bytes | memoryview],
    audio: np.ndarray | None,
    frames: np.ndarray,
    samples: np.ndarray,
    views: View,
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes N windows of a segment that is stored as JPEG images.

    Args:
        jpegs: its frames, at least up to the last wanted one; none if it is audio-only.
        audio: [n] int16, its sound, or None.
        frames: [N, T] int32, numbers of the wanted frames.
        samples: [N, S] int32, positions of the wanted sound.
        views: views of the windows.

    Returns:
        [N, T, *views.size, 3] uint8, black without frames, and [N, S] int16, zeros without sound.
    """
    pictures = ((k, from_jpeg(jpegs[k])) for k in np.unique(frames) if len(jpegs))
    seen = _seen(pictures, frames, views)
    return seen, np.zeros(samples.shape, np.int16) if audio is None else audio[samples]


def _of_mp4(
    record: Callable[[int], bytes], number: int, *wanted: Any
) -> tuple[np.ndarray, np.ndarray, bool]:
    data = record(int(number))
    stored = features(data)
    video, audio = (
        b"".join(data[slice(*span)] for span in byte_values(data, stored[name]))
        for name in STORED["mp4"]
    )

    def decode(frames: range, samples: range) -> tuple[Iterable[np.ndarray], np.ndarray]:
        sound = from_flac(audio, samples.start, len(samples)) if samples else _SILENCE
        return from_mp4(video, frames.start, len(frames)) if video else (), sound

    return _decoded(decode, *wanted)


def _of_original(form: Form, folder: Path, unreadable: Unreadable) -> Decode:
    folder = Path(os.path.abspath(folder))
    waiting = Waiting()

    def read(
        path: bytes, start: np.float32, height: np.int32, width: np.int32, *wanted: Any
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        if not path:  # a blank record
            return _decoded(_nothing, *wanted)
        # Counted from the beginning of the video instead of the segment.
        first = round(float(start) * form.fps)
        sample = round(first / form.fps * form.audio_rate)

        def decode(frames: range, samples: range) -> tuple[list[np.ndarray], np.ndarray]:
            frames = range(frames.start + first, frames.stop + first)
            samples = range(samples.start + sample, samples.stop + sample)
            size = int(height), int(width)
            return read_window(_inside(folder, path.decode()), form, frames, samples, size)

        def once() -> tuple[np.ndarray, np.ndarray, bool] | MediaError:
            try:
                return _decoded(decode, *wanted)
            except MediaError as error:
                return error

        def attempt() -> tuple[tuple[np.ndarray, np.ndarray, bool] | MediaError, bool]:
            """What it shows, and whether the file is away, all of it or a part."""
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
            return _decoded(_nothing, *wanted, there=False)
        return found

    return read


def _is_readable(path: str) -> bool:
    """Whether a file can be read to its end."""
    try:
        with open(path, "rb") as file:
            while file.read(_BLOCK):
                pass
    except OSError:
        return False
    return True


def _inside(folder: Path, path: str) -> Path:
    """A file of a folder; foreign records may name any path."""
    whole = os.path.normpath(folder / path)
    if not Path(whole).is_relative_to(os.path.abspath(folder)):
        raise MediaError(path, "its record names a file outside of manual_dir")
    return Path(whole)


def _nothing(frames: range, samples: range) -> tuple[Iterable[np.ndarray], np.ndarray]:
    return (), np.zeros(len(samples), np.int16)


def _decoded(
    decode: Callable[[range, range], tuple[Iterable[np.ndarray], np.ndarray]],
    has_audio: bool,
    frames: np.ndarray,
    samples: np.ndarray,
    *views: np.ndarray,
    there: bool = True,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Decodes the surrounding stretches in one go; returns the requested frames and samples."""
    shown = range(frames.min(), frames.max() + 1)
    heard = range(samples.min(), samples.max() + 1) if has_audio else range(0)
    pictures, sound = decode(shown, heard)
    seen = _seen(enumerate(pictures, shown.start), frames, View(*views))
    if not has_audio:
        return seen, np.zeros(samples.shape, np.int16), there
    return seen, sound[samples - heard.start], there


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
