"""Chooses a window of a segment and its captions. tf.data graph functions."""

import math

import tensorflow as tf

_ROUNDING = 1e-6  # frames

# Every random choice for a sample has its own number: adding one never shifts the others.
WINDOW_STREAM, CROP_STREAM, FLIP_STREAM, COLOUR_STREAM = range(4)


def stream(seed: tf.Tensor, choice: int) -> tf.Tensor:
    """Derives a sample's random seed [2] for one choice from the sample's own seed [2]."""
    return tf.random.experimental.stateless_fold_in(seed, choice)


def shuffled(position: tf.Tensor, *, records: int, windows: int, seed: int) -> tf.Tensor:
    """Finds the record at a position of the endless stream of samples.

    An epoch visits every record `windows` times, in its own order; the order is a permutation
    computed element by element, so that any position can be resumed.

    Args:
        position: [] int64, from 0.
        records: number of records.
        windows: visits to a record per epoch.
        seed: seed of the run.

    Returns:
        [] int64, number of the record.
    """
    epoch_length = records * windows
    epoch = position // epoch_length
    place = tf.random.experimental.index_shuffle(
        position % epoch_length,
        seed=tf.stack([tf.constant(seed, tf.int64), epoch]),
        max_index=tf.constant(epoch_length - 1, tf.int64),
    )
    return place % records


def random_window(count: tf.Tensor, length: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws the first frame of a random window.

    Args:
        count: [] int32, frames of the segment.
        length: frames of the window.
        seed: [2], seed of the sample.

    Returns:
        [] int32 in 0 .. max(count - length, 0).
    """
    choices = tf.maximum(count - length, 0) + 1
    return tf.random.stateless_uniform(
        [], stream(seed, WINDOW_STREAM), minval=0, maxval=choices, dtype=tf.int32
    )


def stored_span(length: int, stride: float) -> int:
    """Counts the stored frames spanned by a window of `length` frames, one every `stride`."""
    return math.ceil(length * stride - _ROUNDING)


def frame_places(
    count: tf.Tensor, first: tf.Tensor, length: int, *, stride: float = 1.0
) -> tf.Tensor:
    """Picks every `stride`-th frame from `first` on; a segment that is too short wraps around.

    Args:
        count: [] int32, frames of the segment.
        first: [] int32, the first frame.
        length: number of frames.
        stride: stored frames from one to the next; need not be an integer.

    Returns:
        [length] int32, numbers of the frames that are on screen.
    """
    steps = [math.floor(k * stride + _ROUNDING) for k in range(length)]
    return (first + tf.constant(steps, tf.int32)) % count


def sample_places(
    begin: tf.Tensor, count: tf.Tensor, first: tf.Tensor, length: int, *, fps: float, rate: int
) -> tf.Tensor:
    """Finds the sound samples of a window; a segment that is too short wraps around.

    Args:
        begin: [] int32, the segment's first frame, counted from the video's beginning.
        count: [] int32, frames of the segment.
        first: [] int32, the window's first frame, counted from the segment's.
        length: number of samples.
        fps: frames a second.
        rate: samples a second.

    Returns:
        [length] int32, positions of samples in the segment's sound.
    """

    def at(frame: tf.Tensor) -> tf.Tensor:
        # From 12.4 hours on, positions at 48,000 samples a second exceed 32 bits.
        return tf.cast(tf.round(tf.cast(frame, tf.float64) * (rate / fps)), tf.int64)

    samples = at(begin + count) - at(begin)
    places = (at(first) + tf.range(length, dtype=tf.int64)) % tf.maximum(samples, 1)
    return tf.cast(places, tf.int32)


def nearest_captions(
    captions: dict[str, tf.Tensor],
    start: tf.Tensor,
    end: tf.Tensor,
    *,
    candidates: int,
    reach: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Picks the captions nearest in time to a window: its candidates for MIL-NCE.

    Args:
        captions: 'text' [n] string, 'start' and 'end' [n] float32 in seconds of the video.
        start: [] float32, start of the window, in seconds of the video.
        end: [] float32, end of the window.
        candidates: number of candidates.
        reach: seconds; captions farther than this from the window are never taken.

    Returns:
        [candidates] string, nearest to the window's centre first, and whether there is any ([]
        bool). If fewer are in reach, they are repeated in turn: an empty caption would count as a
        positive.
    """
    gap = tf.maximum(tf.maximum(captions["start"] - end, start - captions["end"]), 0.0)
    near = {name: tf.boolean_mask(values, gap <= reach) for name, values in captions.items()}
    centre = (start + end) / 2
    distance = tf.maximum(tf.maximum(near["start"] - centre, centre - near["end"]), 0.0)
    middle = tf.abs((near["start"] + near["end"]) / 2 - centre)
    # Distances are at most minutes: a thousandth of the middle's distance only breaks ties.
    order = tf.argsort(distance + 1e-3 * middle, stable=True)
    count = tf.size(order)

    def texts() -> tf.Tensor:
        # In the branch: without captions there is nothing to gather from.
        return tf.gather(near["text"], tf.gather(order, tf.range(candidates) % count))

    some = count > 0
    return tf.cond(some, texts, lambda: tf.fill([candidates], "")), some
