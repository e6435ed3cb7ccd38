"""Views for scoring a downstream set's test videos: windows in time, crops in space.

A classifier's logits are averaged over the views of a video (`models.classifier.average_views`).
"""

import numpy as np
import tensorflow as tf

from vatt_gh.data.video import resize


def window_starts(count: tf.Tensor, length: int, windows: int, *, stride: int = 1) -> tf.Tensor:
    """First frames of windows spread evenly over a video; a single window is in its middle.

    Args:
        count: [] int32, frames of the video.
        length: frames of a window (for `sampling.frame_places`, which wraps around at the end).
        windows: number of windows.
        stride: frames from one of a window to the next.

    Returns:
        [windows] int32, from 0 to the start of the window that ends with the video.
    """
    room = tf.maximum(count - length * stride, 0)
    if windows == 1:
        return room[None] // 2
    # float32, truncated to whole frames: the original's windows start at the same frames.
    return tf.cast(tf.linspace(0.0, tf.cast(room, tf.float32), windows), tf.int32)


def resize_shorter_side(images: np.ndarray, size: int) -> np.ndarray:
    """Resizes frames so that their shorter side is `size`; see `video.resize`.

    Args:
        images: [T, H, W, 3] uint8 or float32.
        size: length of the shorter side, in pixels.

    Returns:
        [T, h, w, 3] of the same dtype; the longer side is rounded down to whole pixels.
    """
    sides = images.shape[1:3]
    out = np.empty((len(images), *(n * size // min(sides) for n in sides), 3), images.dtype)
    for frame, place in zip(images, out, strict=True):
        resize(frame, place)
    return out


def three_crops(video: tf.Tensor, size: int) -> tf.Tensor:
    """Crops squares at the start, the centre and the end of the longer side.

    Args:
        video: [T, h, w, 3]; the shorter of h and w is `size`.
        size: side of the squares, in pixels.

    Returns:
        [3, T, size, size, 3].
    """
    shape = tf.shape(video)[1:3]
    longer = tf.reduce_max(shape)
    # L / 2 - size // 2, rounded half to even, as in the original.
    centre = tf.cast(tf.round(tf.cast(longer, tf.float32) / 2 - size // 2), tf.int32)
    along = tf.cast(shape > size, tf.int32)
    places = tf.stack([0, centre, longer - size])[:, None] * along
    return tf.stack(
        [video[:, y : y + size, x : x + size] for y, x in map(tf.unstack, tf.unstack(places))]
    )
