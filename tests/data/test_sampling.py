"""Windows, their order, their frames, their sound and their captions, against plain Python."""

import itertools
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from vatt_gh.data.sampling import (
    frame_places,
    nearest_captions,
    random_window,
    sample_places,
    shuffled,
    stream,
)


def records_at(positions, **arguments):
    order = tf.data.Dataset.from_tensor_slices(np.array(positions, np.int64))
    order = order.map(lambda place: shuffled(place, **arguments))
    return [int(record) for record in order.as_numpy_iterator()]


@pytest.mark.parametrize(("records", "windows"), [(1, 1), (1, 3), (2, 1), (3, 2), (37, 1), (10, 4)])
def test_every_epoch_visits_every_record_so_often(records, windows):
    length = records * windows
    order = records_at(range(5 * length), records=records, windows=windows, seed=3)
    for epoch in range(5):
        visited = Counter(order[epoch * length : (epoch + 1) * length])
        assert visited == dict.fromkeys(range(records), windows)


def test_epochs_and_seeds_have_orders_of_their_own_that_look_random():
    arguments = {"records": 100, "windows": 1}
    orders = [records_at(range(300), **arguments, seed=seed) for seed in (0, 1)]
    epochs = [tuple(order[k : k + 100]) for order in orders for k in (0, 100, 200)]
    assert len(set(epochs)) == 6
    for epoch in epochs:
        assert abs(np.corrcoef(epoch, range(100))[0, 1]) < 0.4
        assert sum(b == a + 1 for a, b in itertools.pairwise(epoch)) < 10


def test_any_position_can_be_resumed_at():
    arguments = {"records": 7, "windows": 2, "seed": 5}
    whole = records_at(range(60), **arguments)
    assert records_at(range(33, 60), **arguments) == whole[33:]
    # A far position, beyond 32 bits.
    far = 14 * 10**9
    assert sorted(records_at(range(far, far + 14), **arguments)) == sorted([*range(7)] * 2)


def windows_of(count, length, samples=400):
    seeds = tf.data.Dataset.range(samples).map(lambda k: tf.stack([tf.constant(1, tf.int64), k]))
    firsts = seeds.map(lambda seed: random_window(tf.constant(count), length, seed))
    return Counter(int(first) for first in firsts.as_numpy_iterator())


def test_windows_lie_in_their_segment_and_reach_its_borders():
    firsts = windows_of(count=12, length=4)
    assert firsts.keys() == set(range(9))
    assert min(firsts.values()) > 400 / 9 / 2  # about equally often
    assert windows_of(count=4, length=4, samples=20) == {0: 20}
    assert windows_of(count=3, length=4, samples=20) == {0: 20}  # a short segment


def test_each_choice_of_a_sample_has_a_stream_of_its_own():
    seeds = {
        tuple(stream(tf.constant([1, k], tf.int64), c).numpy()) for k in (0, 1) for c in (0, 1)
    }
    assert len(seeds) == 4


@pytest.mark.parametrize(("count", "first", "length"), [(9, 2, 4), (9, 5, 4), (3, 0, 8), (1, 0, 3)])
def test_frames_of_a_window(count, first, length):
    frames = [f"frame {k}".encode() for k in range(count)]
    places = frame_places(tf.constant(count), tf.constant(first), length).numpy()
    taken = [frames[place] for place in places]
    expected = (frames * 9)[first : first + length]  # a short segment starts again
    assert taken == expected


@pytest.mark.parametrize(
    ("fps", "rate", "first", "length"),
    [
        (10.0, 16_000, 0, 1600),
        (10.0, 16_000, 7, 1600),
        (10.0, 48_000, 29, 9),
        (12.5, 16_000, 3, 100),
        (29.97, 44_100, 11, 100),  # no whole number of samples per frame
        (10.0, 16_000, 29, 3200),  # beyond the end: starts again
    ],
)
def test_sound_of_a_window_begins_with_its_first_frame(fps, rate, first, length):
    count, begin = 30, 300
    places = sample_places(*map(tf.constant, (begin, count, first)), length, fps=fps, rate=rate)
    whole = round((begin + count) / fps * rate) - round(begin / fps * rate)
    start = round(first * rate / fps)
    assert places.dtype == tf.int32
    assert places.numpy().tolist() == [(start + k) % whole for k in range(length)]


def obvious_captions(rows, start, end, candidates, reach):
    """Candidates by plain comparison: (text, start, end) -> texts."""
    centre = (start + end) / 2

    def gap(row):
        return max(row[1] - end, start - row[2], 0)

    def rank(row):
        return max(row[1] - centre, centre - row[2], 0), abs((row[1] + row[2]) / 2 - centre)

    near = sorted((row for row in rows if gap(row) <= reach), key=rank)
    return [near[k % len(near)][0] for k in range(candidates)] if near else [""] * candidates


def nearest(rows, start, end, candidates, reach):
    captions = {
        "text": tf.constant([row[0] for row in rows], tf.string),
        "start": tf.constant([row[1] for row in rows], tf.float32),
        "end": tf.constant([row[2] for row in rows], tf.float32),
    }
    arguments = {"candidates": candidates, "reach": reach}
    texts, some = nearest_captions(
        captions, tf.constant(start, tf.float32), tf.constant(end, tf.float32), **arguments
    )
    return [text.decode() for text in texts.numpy()], bool(some)


def test_captions_of_a_window_are_the_nearest_in_time():
    rng = np.random.default_rng(0)
    found = set()
    for case in range(80):
        count = int(rng.integers(0, 9))
        # Eighths of a second: float32 is exact, and ties happen.
        starts = np.sort(rng.integers(0, 240, count)) / 8
        ends = starts + rng.integers(0, 60, count) / 8
        rows = [(f"{case}-{k}", *pair) for k, pair in enumerate(zip(starts, ends, strict=True))]
        start = rng.integers(0, 240) / 8
        end = start + rng.integers(1, 40) / 8
        candidates, reach = int(rng.integers(1, 6)), rng.integers(0, 40) / 8
        texts, some = nearest(rows, start, end, candidates, reach)
        assert texts == obvious_captions(rows, start, end, candidates, reach)
        assert some == any(texts)
        found.add((some, len(set(texts)) == candidates))
    assert found == {(True, True), (True, False), (False, False), (False, True)}


def test_captions_by_hand():
    rows = [("before", 0, 1), ("long", 2, 9), ("inside", 4, 5.5), ("after", 9.5, 12)]
    assert nearest(rows, 4, 6, 3, 10.0) == (["inside", "long", "before"], True)
    assert nearest(rows, 4, 6, 2, 0.0) == (["inside", "long"], True)
    assert nearest(rows, 10, 11, 3, 0.5) == (["after", "after", "after"], True)
    assert nearest(rows, 20, 21, 2, 7.0) == (["", ""], False)
    assert nearest(rows, 20, 21, 2, 8.0) == (["after", "after"], True)


@pytest.mark.parametrize("hours", [0.5, 13.0, 55.0])
def test_places_of_sound_late_in_a_long_video(hours):
    fps, rate, length, first = 10.0, 48_000, 4_800, 7
    begin = round(hours * 3600 * fps)
    given = (tf.constant(n, tf.int32) for n in (begin, 300, first))
    places = sample_places(*given, length, fps=fps, rate=rate).numpy()
    expected = [round(first / fps * rate) + k for k in range(length)]
    assert places.tolist() == expected
