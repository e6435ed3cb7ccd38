"""Windows of a decoded segment in memory, as from its record."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh.data.sampling import stored_span
from vatt_gh.data.stored_windows import Example, decoded_windows
from vatt_gh.data.windows import wordless_windows
from vatt_gh.media.form import Form, Segment
from vatt_gh.media.storages import STORAGES


def covering(segment: Segment, form: Form, data: ConfigDict, every: float) -> list[int]:
    """Places windows so that they cover a segment.

    Args:
        segment: the segment.
        form: its form.
        data: section `data` of the configuration.
        every: seconds from one window to the next, at least a frame; 0: the length of a window.

    Returns:
        First frame of each window; the last window ends with the segment.
    """
    span = stored_span(data.frames, form.fps / data.fps)
    step = max(1, round(every * form.fps)) if every else span
    return window_places(segment.count, span, step)


def segment_windows(
    segment: Segment, form: Form, data: ConfigDict, firsts: Sequence[int]
) -> dict[str, np.ndarray]:
    """Decodes windows of a segment.

    Args:
        segment: the segment.
        form: its form; its storage holds pictures, not only the name of the original.
        data: section `data` of the configuration.
        firsts: first frame of each of the N windows.

    Returns:
        Arrays of the windows, as `wordless_windows` returns them, without 'video_id'. A segment
        that is shorter than a window wraps around; 'end' is never behind that of the segment.
    """
    example = {
        "frame_count": segment.count,
        "height": segment.height,
        "width": segment.width,
        "start": np.float32(segment.start),
        "has_audio": segment.has_audio,
        "video_id": "",
    }
    found = wordless_windows(
        {name: tf.constant(value) for name, value in example.items()},
        tf.constant(firsts, tf.int32),
        _InMemory(segment, form),
        data,
    )
    found.pop("video_id")
    arrays = {name: value.numpy() for name, value in found.items()}
    return arrays | {"end": np.minimum(arrays["end"], np.float32(segment.end))}


def window_places(count: int, span: int, step: int) -> list[int]:
    """Finds the first frames of windows that cover `count` frames.

    Args:
        count: frames of the segment.
        span: frames of a window.
        step: frames from one window to the next.

    Returns:
        0, step, 2 step, ...; and the last window of the segment where these leave a rest.
    """
    last = max(count - span, 0)
    places = list(range(0, last + 1, step))
    return places if places[-1] == last else [*places, last]


@dataclasses.dataclass(frozen=True)
class _InMemory:
    """A segment in place of records, see `windows.Stored`."""

    segment: Segment
    form: Form
    selection: None = None

    def windows(self, example: Example, *wanted: Any) -> tuple[np.ndarray, np.ndarray, bool]:
        frames, samples, views = wanted
        decode = functools.partial(STORAGES[self.form.storage].decoded, self.segment.values)
        arrays = [np.asarray(x) for x in (frames, samples, *views)]
        return *decoded_windows(decode, self.segment.has_audio, *arrays), True
