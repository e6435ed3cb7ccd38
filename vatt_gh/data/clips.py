"""Windows of the clips of a downstream set, in order: for scores of whole clips."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.records import Source, read_on
from vatt_gh.data.sampling import stored_span
from vatt_gh.data.text import Tokenizer
from vatt_gh.data.views import window_starts
from vatt_gh.data.windows import window

LABELS, SAID = "labels", "said"
_BETWEEN = "\n"  # labels, and captions, of one record


def clip_windows(
    source: Source, tokenizer: Tokenizer, config: ConfigDict
) -> Iterator[dict[str, np.ndarray]]:
    """Yields `eval.windows` windows of every record, spread evenly, without augmentation.

    A clip that is longer than a record has several records, with its id in each.

    Args:
        source: the records.
        tokenizer: of the run; captions are returned as text.
        config: the whole configuration.

    Yields:
        Batches of at most eval.batch_size windows: 'video' [B, T, H, W, 3] uint8, 'audio' [B, S]
        float32, their masks [B] bool, 'video_id', 'labels' and 'said' [B] bytes, the last two
        joined by line ends, 'start' and 'end' [B] float32 in seconds of the video.
    """
    span = stored_span(config.data.frames, source.fps / config.data.fps)

    def windows_of(record: tf.Tensor) -> tf.data.Dataset:
        example = source.read(record)
        firsts = window_starts(example["frame_count"], span, config.eval.windows)
        said = tf.strings.reduce_join(example["captions"]["text"], separator=_BETWEEN)
        labels = tf.strings.reduce_join(example["labels"], separator=_BETWEEN)

        def one(first: tf.Tensor) -> dict[str, tf.Tensor]:
            found = window(example, first, source, tokenizer, config.data)
            kept = {name: x for name, x in found.items() if name != names.TEXT}
            return kept | {LABELS: labels, SAID: said}

        return tf.data.Dataset.from_tensor_slices(firsts).map(one)

    windows = tf.data.Dataset.range(source.count).flat_map(windows_of)
    yield from read_on(windows.batch(config.eval.batch_size).prefetch(2), [source])


def lines(joined: bytes) -> list[str]:
    """The labels, or captions, that `clip_windows` has joined."""
    return [line for line in joined.decode("utf-8").split(_BETWEEN) if line]
