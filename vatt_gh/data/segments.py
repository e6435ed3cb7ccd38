"""Windows of a decoded segment in memory: the same pictures and sound as from its record."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh.data.sampling import stored_span
from vatt_gh.data.storage import Example, decoded_windows
from vatt_gh.data.video import View
from vatt_gh.data.windows import plain_windows
from vatt_gh.media.form import Form, Segment


def segment_windows(
    segment: Segment, form: Form, data: ConfigDict, every: float
) -> dict[str, np.ndarray]:
    """Decodes windows that cover a segment.

    Args:
        segment: stored as JPEG images.
        form: its form; storage is 'jpeg'.
        data: section of the configuration.
        every: seconds from one window to the next; 0: the length of a window.

    Returns:
        Arrays of N >= 1 windows, as `plain_windows` returns them, without 'video_id'. The last one
        ends with the segment; a segment that is shorter than a window wraps around.
    """
    span = stored_span(data.frames, form.fps / data.fps)
    firsts = window_places(segment.count, span, round(every * form.fps) or span)
    example = {
        "frame_count": segment.count,
        "height": segment.height,
        "width": segment.width,
        "start": np.float32(segment.start),
        "has_audio": segment.has_audio,
        "video_id": "",
    }
    found = plain_windows(
        {name: tf.constant(value) for name, value in example.items()},
        tf.constant(firsts, tf.int32),
        _InMemory(segment, form),
        data,
    )
    found.pop("video_id")
    return {name: value.numpy() for name, value in found.items()}


def window_places(count: int, span: int, step: int) -> list[int]:
    """First frames of windows that cover `count` frames.

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

    @property
    def fps(self) -> float:
        return self.form.fps

    @property
    def audio_rate(self) -> int:
        return self.form.audio_rate

    def windows(self, example: Example, *wanted: Any) -> tuple[np.ndarray, np.ndarray, bool]:
        frames, samples, views = wanted
        view = View(*(np.asarray(x) for x in views))
        audio = self.segment.audio if self.segment.has_audio else None
        jpegs = self.segment.frames
        return *decoded_windows(jpegs, audio, frames.numpy(), samples.numpy(), view), True
