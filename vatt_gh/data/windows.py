"""One window of a record: picture, sound and captions of the same time. tf.data graph functions."""

from typing import Any

import tensorflow as tf
from ml_collections import ConfigDict

from vatt_gh import batch as names
from vatt_gh.data.records import Source
from vatt_gh.data.sampling import (
    frame_places,
    nearest_captions,
    random_window,
    sample_places,
    stored_span,
)
from vatt_gh.data.text import Tokenizer
from vatt_gh.data.video import choose_view

FULL_SCALE = 32768  # of sound as it is stored, in 16 bits


def training_window(
    example: dict[str, Any],
    source: Source,
    tokenizer: Tokenizer,
    data: ConfigDict,
    seed: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """A random window of a record, augmented.

    Args:
        example: a record, nothing of it decoded.
        source: where the record is from.
        tokenizer: of the captions.
        data: config.data.
        seed: [2] int64, decides place and augmentation.

    Returns:
        See `window`.
    """
    span = stored_span(data.frames, source.fps / data.fps)
    first = random_window(example["frame_count"], span, seed)
    return window(example, first, source, tokenizer, data, seed, train=True)


def window(
    example: dict[str, Any],
    first: tf.Tensor,
    source: Source,
    tokenizer: Tokenizer,
    data: ConfigDict,
    seed: tf.Tensor,
    *,
    train: bool,
) -> dict[str, tf.Tensor]:
    """One window of a segment: picture, sound and captions of the same time.

    Args:
        example: a record, nothing of it decoded.
        first: [] int32, the window's first frame.
        source: where the record is from.
        tokenizer: of the captions.
        data: config.data.
        seed: [2], of the sample.
        train: whether to augment.

    Returns:
        One sample's arrays of a batch, without 'index' and 'colour'.
    """
    start = example["start"] + tf.cast(first, tf.float32) / source.fps
    end = start + data.frames / data.fps
    seen = example["height"] > 0
    shape = tf.stack([example["height"], example["width"]])
    shape = tf.where(seen, shape, [data.size, data.size])
    view = choose_view(shape, data, seed, train=train)
    pictures, sound, there = source.window(
        example,
        frame_places(example["frame_count"], first, data.frames, stride=source.fps / data.fps),
        sample_places(
            tf.cast(tf.round(example["start"] * source.fps), tf.int32),
            example["frame_count"],
            first,
            data.audio_samples,
            fps=source.fps,
            rate=source.audio_rate,
        ),
        view,
    )
    pictures = tf.ensure_shape(pictures, [data.frames, data.size, data.size, 3])
    audio = tf.cast(sound, tf.float32) / FULL_SCALE
    captions, has_text = nearest_captions(
        example["captions"],
        start,
        end,
        candidates=data.candidates,
        reach=data.caption_reach,
    )
    return {
        names.VIDEO: pictures,
        names.AUDIO: audio,
        names.TEXT: tokenizer(captions),
        names.VIDEO_MASK: seen & there,
        names.AUDIO_MASK: example["has_audio"] & there,
        names.TEXT_MASK: has_text & there,
        names.VIDEO_ID: example["video_id"],
        names.START: start,
        names.END: end,
    }
