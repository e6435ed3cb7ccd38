"""Windows of the clips of a downstream set, in order: for scores of whole clips."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh.data.records import Source, read_on
from vatt_gh.data.sampling import stored_span
from vatt_gh.data.views import window_starts
from vatt_gh.data.windows import plain_windows

LABELS, SAID = "labels", "said"
_BETWEEN = "\n"  # labels, and captions, of one record


def clip_windows(
    source: Source, data: ConfigDict, *, windows: int, size: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yields some windows of every record, spread evenly, without augmentation.

    A clip that is longer than a record has several records, with its id in each.

    Args:
        source: the records.
        data: section of the configuration.
        windows: of a record.
        size: of a batch.

    Yields:
        Batches of at most `size` windows: 'video' [B, T, H, W, 3] uint8, 'audio' [B, S]
        float32, their masks [B] bool, 'video_id', 'labels' and 'said' [B] bytes, the last two
        joined by line ends, 'start' and 'end' [B] float32 in seconds of the video.
    """
    span = stored_span(data.frames, source.fps / data.fps)

    def windows_of(record: tf.Tensor) -> tf.data.Dataset:
        example = source.read(record)
        firsts = window_starts(example["frame_count"], span, windows)
        said = tf.strings.reduce_join(example["captions"]["text"], separator=_BETWEEN)
        labels = tf.strings.reduce_join(example["labels"], separator=_BETWEEN)
        found = plain_windows(example, firsts, source, data)
        found |= {LABELS: tf.fill([windows], labels), SAID: tf.fill([windows], said)}
        return tf.data.Dataset.from_tensor_slices(found)

    every = tf.data.Dataset.range(source.count).flat_map(windows_of)
    yield from read_on(every.batch(size).prefetch(2), [source])


def lines(joined: bytes) -> list[str]:
    """The labels, or captions, that `clip_windows` has joined."""
    return [line for line in joined.decode("utf-8").split(_BETWEEN) if line]
