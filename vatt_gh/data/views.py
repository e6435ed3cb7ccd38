"""Views for scoring a downstream set's test videos: windows in time, crops in space.

A classifier's logits are averaged over the views of a video (`models.classifier.average_views`).
"""

import tensorflow as tf


def window_starts(count: tf.Tensor, length: int, windows: int, *, stride: int = 1) -> tf.Tensor:
    """Spreads the first frames of windows evenly over a video; a single one is in its middle.

    Args:
        count: [] int32, frames of the video.
        length: frames of a window (for `sampling.frame_places`, which wraps around at the end).
        windows: number of windows.
        stride: frames from one frame of a window to the next.

    Returns:
        [windows] int32, from 0 to the start of the window that ends with the video.
    """
    room = tf.maximum(count - length * stride, 0)
    if windows == 1:
        return room[None] // 2
    # float32, truncated to whole frames: the original's windows start at the same frames.
    return tf.cast(tf.linspace(0.0, tf.cast(room, tf.float32), windows), tf.int32)


def with_shorter_side(shape: tf.Tensor, size: int) -> tf.Tensor:
    """Computes the shape of frames that are resized so that their shorter side is `size`.

    Args:
        shape: [2] int32, height and width.
        size: length of the shorter side, in pixels.

    Returns:
        [2] int32; the longer side is rounded down to whole pixels.
    """
    return shape * size // tf.reduce_min(shape)


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
