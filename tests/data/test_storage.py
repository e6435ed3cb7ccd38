"""Windows for every storage form: the same pictures, sound and captions at every position."""

import dataclasses
import itertools
import shutil

import numpy as np
import pytest
import tensorflow as tf
from media_files import write_media

from vatt_gh import batch as names
from vatt_gh.data.clips import captioned_clips
from vatt_gh.data.pipeline import training_batches
from vatt_gh.data.records import open_source
from vatt_gh.data.video import View

STORAGES = ["mp4", "index"]


def batches(source, clock, config, count):
    stream = training_batches([source], clock.tokenizer, config, position=0, host=0, hosts=1)
    return list(itertools.islice(stream, count))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("frames", [4, 60])  # 60: more than a segment has, so it starts again
def test_training_windows_are_those_of_jpeg(clock, clock_config, storage, frames):
    data = clock_config.data
    data.augmentation, data.frames = "inception", frames
    data.audio_samples = clock.rate * frames // clock.fps
    expected = batches(clock.source, clock, clock_config, 3)
    found = batches(clock.others[storage], clock, clock_config, 3)
    for (device, host), (other, other_host) in zip(found, expected, strict=True):
        for name in host:
            np.testing.assert_array_equal(host[name], other_host[name], name)
        for name in device.keys() - {names.VIDEO, names.AUDIO}:
            np.testing.assert_array_equal(device[name], other[name], name)
        # Both are lossy: JPEG at quality 95, H.264 at crf 23.
        error = np.abs(device[names.VIDEO].astype(int) - other[names.VIDEO])
        assert error.mean() < 4
        assert np.quantile(error, 0.99) < 32
        heard = np.abs(device[names.AUDIO] - other[names.AUDIO])
        assert heard.max() <= (0 if storage == "mp4" else 1e-3)  # FLAC is lossless


@pytest.mark.parametrize("storage", STORAGES)
def test_evaluation_clips_are_those_of_jpeg(clock, clock_config, storage):
    arguments = clock.tokenizer, clock_config.data
    expected = list(captioned_clips(clock.source, *arguments, size=4))
    clips = captioned_clips(clock.others[storage], *arguments, size=4)
    for found, other in zip(clips, expected, strict=True):
        assert found["caption"].tolist() == other["caption"].tolist()
        numbers = clock.numbers_of(other[names.VIDEO])
        np.testing.assert_array_equal(clock.numbers_of(found[names.VIDEO]), numbers)


def test_the_other_storages_are_smaller(clock):
    sizes = {
        name: source.shards.length.sum()
        for name, source in {"jpeg": clock.source, **clock.others}.items()
    }
    assert sizes["mp4"] < sizes["jpeg"] / 3
    assert sizes["index"] < sizes["jpeg"] / 100


def test_originals_may_have_moved(clock, clock_config, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(clock.manual_dir, moved)
    (before,) = batches(clock.others["index"], clock, clock_config, 1)
    source = open_source(clock.others["index"].directories, str(moved))
    for path in (moved / "videos").iterdir():
        path.touch()
    (after,) = batches(source, clock, clock_config, 1)
    np.testing.assert_array_equal(after[0][names.VIDEO], before[0][names.VIDEO])
    shutil.rmtree(moved)
    # One missing file is left out, see test_unreadable.py, but it is an error if all are missing.
    with pytest.raises(Exception, match=r"elsewhere/videos/.*mkv: cannot be decoded"):
        batches(source, clock, clock_config, 1)


def test_an_original_that_grew_shorter_by_a_frame_shows_its_last_one_on(clock, tmp_path):
    shutil.copytree(clock.manual_dir, tmp_path / "shorter")
    source = open_source(clock.others["index"].directories, str(tmp_path / "shorter"))
    examples = [source.read(number) for number in range(source.count)]
    example = max((e for e in examples if not e["has_audio"]), key=lambda e: float(e["end"]))
    first = round(float(example["start"]) * clock.fps)
    last = first + int(example["frame_count"]) - 1
    write_media(
        tmp_path / "shorter" / "videos" / "silent.mkv",
        [clock.dial(k) for k in range(last)],
        [k / clock.fps for k in range(last)],
    )
    whole = View(tf.constant([[0, 0, 64, 64]]), tf.constant([False]), tf.constant([64, 64]))
    windows = tf.function(source.windows)
    for wanted, shown in (([-2, -1, 0], [-2, -1, -1]), ([0, -1, -2], [-1, -1, -2])):
        frames = last - first + tf.constant(wanted)
        pictures, _, there = windows(example, frames[None], tf.range(10)[None], whole)
        assert there
        assert clock.numbers_of(pictures[0].numpy()).tolist() == [last + k for k in shown]


def test_a_source_tells_how_it_is_stored(clock):
    for storage, source in clock.others.items():
        assert source.form == dataclasses.replace(clock.source.form, storage=storage)
