"""Training batches: their contents, which depend only on the position."""

import dataclasses
import time
from collections import Counter

import numpy as np
import pytest
import streams
import tensorflow as tf
from streams import assert_equal, joined

from vatt_gh import batch as names
from vatt_gh.data.pipeline import HOST_KEYS, training_batches


def batches(clock, config, count, **place):
    return streams.batches([clock.source], clock, config, count, **place)


@pytest.fixture
def augmented(clock_config):
    """Every random choice is made."""
    config = clock_config
    config.data.augmentation = "inception"
    config.data.colour_jitter, config.data.flip = 0.8, True
    return config


def test_picture_sound_and_captions_are_of_one_window(clock, clock_config):
    data = clock_config.data
    data.frames, data.audio_samples = 8, clock.rate * 8 // clock.fps
    seen = Counter()
    for device, host in batches(clock, clock_config, 6):
        for k in range(clock_config.train.batch_size):
            video = host[names.VIDEO_ID][k].decode()
            numbers = clock.numbers_of(device[names.VIDEO][k])
            start = numbers[0] / clock.fps
            np.testing.assert_array_equal(numbers, numbers[0] + np.arange(8))
            assert host[names.START][k] == pytest.approx(start, abs=1e-5)
            assert host[names.END][k] == pytest.approx(start + 0.8, abs=1e-5)
            has_sound, has_text = video != "silent", video != "wordless"
            assert device[names.AUDIO_MASK][k] == has_sound
            moments = start + np.arange(data.audio_samples) / clock.rate
            expected = clock.sound_at(moments) if has_sound else np.zeros(data.audio_samples)
            np.testing.assert_allclose(device[names.AUDIO][k], expected, atol=1e-3)
            assert device[names.TEXT_MASK][k] == has_text
            words = [expected_words(clock, start, start + 0.8), []][not has_text]
            assert [clock.vocabulary[i] for i in device[names.TEXT][k, :, 0] if i] == words
            assert not device[names.TEXT][k, :, 1:].any()
            seen[video] += 1
    assert seen == {"whole": 12, "silent": 12, "wordless": 12}


def expected_words(clock, start, end):
    """The two captions of the window's segment nearest to the window."""
    begin = min(4.0 * int(start / 4.0 + 1e-6), 8.0)
    finish = begin + 4.0 if begin < 8.0 else 12.5
    centre = (start + end) / 2
    said = [
        (max(low - centre, centre - high, 0), abs((low + high) / 2 - centre), word)
        for word, low, high in clock.captions
        if low < finish and high > begin and low - end <= 1.0 and start - high <= 1.0
    ]
    words = [word for *_, word in sorted(said)]
    return [words[k % len(words)] for k in range(2)]


def test_batches_are_as_batch_py_says(clock, augmented):
    for device, host in batches(clock, augmented, 2):
        names.check(device)
        assert device.keys() == set(names.DEVICE_KEYS)
        assert host.keys() == set(HOST_KEYS)
        assert device[names.VIDEO].shape == (6, 4, 16, 16, 3)
        assert device[names.AUDIO].shape == (6, 6400)
        assert device[names.TEXT].shape == (6, 2, 3)
        assert device[names.INDEX].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_seed_and_the_position_decide_everything(clock, augmented):
    whole = batches(clock, augmented, 5)
    assert_equal(batches(clock, augmented, 5), whole)
    augmented.data.parallel_reads = 1
    assert_equal(batches(clock, augmented, 2, position=3 * 6), whole[3:])
    augmented.seed = 1
    other = batches(clock, augmented, 1)
    assert not np.array_equal(other[0][0][names.VIDEO], whole[0][0][names.VIDEO])


def test_the_shares_of_two_hosts_are_the_batch_of_one(clock, augmented):
    whole = batches(clock, augmented, 2, position=12)
    shares = [batches(clock, augmented, 2, position=12, host=host, hosts=2) for host in range(2)]
    assert_equal(joined(shares), whole)


def test_an_epoch_visits_every_segment_so_often_with_other_windows(clock, clock_config):
    visits = [Counter(), Counter()]
    windows = set()
    for step, (_, host) in enumerate(batches(clock, clock_config, 6)):  # nine records, two windows
        for video, start in zip(host[names.VIDEO_ID], host[names.START], strict=True):
            visits[step // 3][video, min(int(start / 4 + 1e-6), 2)] += 1
            windows.add((video, float(start)))
    segments = [(name, k) for name in (b"whole", b"silent", b"wordless") for k in range(3)]
    assert visits == [dict.fromkeys(segments, 2)] * 2
    assert len(windows) > 18  # of 36


def test_augmentation_changes_pictures_and_not_what_a_sample_is(clock, augmented):
    (device, host) = batches(clock, augmented, 1)[0]
    augmented.data.augmentation = "none"
    (plain, plain_host) = batches(clock, augmented, 1)[0]
    for name in host:
        np.testing.assert_array_equal(host[name], plain_host[name])
    for name in (names.TEXT, names.AUDIO):
        np.testing.assert_array_equal(device[name], plain[name])
    for k in range(6):
        assert not np.array_equal(device[names.VIDEO][k], plain[names.VIDEO][k])


def test_batches_are_read_ahead(clock, clock_config):
    reads = []

    def noted(record):
        reads.append(record)
        return record

    def windows(example, *wanted):
        record = tf.numpy_function(noted, [example["record"]], tf.int64)
        return clock.source.windows({**example, "record": record}, *wanted)

    source = dataclasses.replace(clock.source, windows=windows)
    clock_config.data.parallel_reads = 2
    stream = training_batches([source], clock.tokenizer, clock_config, position=0, host=0, hosts=1)
    next(stream)
    deadline = time.monotonic() + 20
    while len(reads) < 18 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(reads) >= 18  # the batch taken and two more
    stream.close()
