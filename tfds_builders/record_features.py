"""The content of a record, by storage."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from vatt_gh.media.captions import Caption, overlapping
from vatt_gh.media.form import Form, Segment
from vatt_gh.media.library import Library
from vatt_gh.media.storages import STORAGES

_FEATURES = {
    "jpegs": lambda: tfds.features.Sequence(
        tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
    ),
    # encoding: in a list of integers a negative sample would take ten bytes.
    "samples": lambda: tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
    "bytes": lambda: tfds.features.Tensor(shape=(), dtype=tf.string),
}


def features_of(storage: str) -> dict[str, Any]:
    """Makes the TFDS features of a segment's record.

    Args:
        storage: one of vatt_gh.media.storages.STORAGES.

    Returns:
        {name: feature}. A storage that reads originals has their path below manual_dir.
    """
    kept = STORAGES[storage]
    stored = {name: _FEATURES[kind]() for name, kind in kept.features.items()}
    original = {"path": tfds.features.Text()} if kept.reads_originals else {}
    return {
        "video_id": tfds.features.Text(),
        "segment": np.int32,
        "start": np.float32,
        "end": np.float32,
        "frame_count": np.int32,
        "height": np.int32,
        "width": np.int32,
        "has_audio": np.bool_,
        "labels": tfds.features.Sequence(tfds.features.Text()),
        "captions": tfds.features.Sequence(
            {"text": tfds.features.Text(), "start": np.float32, "end": np.float32}
        ),
        **stored,
        **original,
    }


def example_of(
    library: Library, video: str, segment: Segment, captions: list[Caption], form: Form
) -> dict[str, Any]:
    """Converts a segment to a TFDS example.

    Args:
        library: the video's library.
        video: its id.
        segment: the decoded segment.
        captions: captions of the video.
        form: how it is stored.

    Returns:
        {feature: value}.
    """
    said = overlapping(captions, segment.start, segment.end)
    original = {"path": library.below(video)} if STORAGES[form.storage].reads_originals else {}
    return {
        "video_id": video,
        "segment": segment.index,
        "start": segment.start,
        "end": segment.end,
        "frame_count": segment.count,
        "height": segment.height,
        "width": segment.width,
        "has_audio": segment.has_audio,
        "labels": list(library.labels.get(video, ())),
        "captions": {
            "text": [row.text for row in said],
            "start": [row.start for row in said],
            "end": [segment.end if math.isinf(row.end) else row.end for row in said],
        },
        **segment.stored,
        **original,
    }
