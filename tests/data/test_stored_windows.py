"""Windows for every storage form: the same pictures, sound and captions at every position."""

import dataclasses
import itertools
import shutil

import numpy as np
import pytest
import tensorflow as tf
from media_files import write_media
from pausing import recorded_pauses

from vatt_gh import batch as names
from vatt_gh.data import waiting
from vatt_gh.data.clips import captioned_clips
from vatt_gh.data.frames import View
from vatt_gh.data.pipeline import training_batches
from vatt_gh.data.records import open_source
from vatt_gh.errors import UserError
from vatt_gh.media.form import MediaError
from vatt_gh.media.video import read_window

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


def test_originals_may_have_moved(clock, clock_config, tmp_path, monkeypatch):
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
    monkeypatch.setattr(waiting, "PAUSES", (0.0,))
    source = open_source(source.directories, str(moved), unreadable_share=0.5)
    with pytest.raises(UserError, match="are damaged or gone") as ended:
        batches(source, clock, clock_config, 2)
    assert "elsewhere/videos/" in ended.value.where


def reads_first(source):
    """Reads the first window of one example of each video; whether they were there."""
    whole = View(tf.constant([[0, 0, 64, 64]]), tf.constant([False]), tf.constant([64, 64]))
    windows = tf.function(source.windows)
    examples = {e["path"].numpy(): e for e in map(source.read, range(source.count))}
    there = (windows(e, tf.range(3)[None], tf.range(9)[None], whole)[2] for e in examples.values())
    return list(map(bool, there))


def test_originals_that_come_back_in_time_are_read(clock, tmp_path, monkeypatch):
    folder, away = tmp_path / "originals", tmp_path / "away"
    shutil.copytree(clock.manual_dir, away)
    source = open_source(clock.others["index"].directories, str(folder))
    # The folder is where the videos are mounted.
    events = {2: folder.mkdir, 3: lambda: (away / "videos").rename(folder / "videos")}
    pauses = recorded_pauses(monkeypatch, events)
    assert reads_first(source) == [True] * 3
    assert tuple(pauses) == waiting.PAUSES[:3] and len(source.unreadable) == 0


def test_originals_that_stay_away_are_waited_for_once_and_damaged_ones_never(
    clock, tmp_path, monkeypatch
):
    folder, away = tmp_path / "originals", tmp_path / "away"
    shutil.copytree(clock.manual_dir, folder)
    damaged = folder / "videos" / "silent.mkv"
    source = open_source(clock.others["index"].directories, str(folder))
    pauses = recorded_pauses(monkeypatch)
    data = damaged.read_bytes()
    for content in (b"", data[:100], b"nothing" * 99):
        damaged.write_bytes(content)
        assert sorted(reads_first(source)) == [False, True, True]
    assert not pauses
    damaged.write_bytes(data)
    (folder / "videos").rename(away)
    assert reads_first(source) == [False] * 3
    assert tuple(pauses) == waiting.PAUSES
    away.rename(folder / "videos")
    assert reads_first(source) == [True] * 3
    (folder / "videos").rename(away)  # and is away once more
    assert reads_first(source) == [False] * 3
    assert tuple(pauses) == 2 * waiting.PAUSES


def copied(clock, tmp_path):
    """The source of a copy of all originals, and one of them."""
    folder = tmp_path / "originals"
    shutil.copytree(clock.manual_dir, folder)
    return open_source(clock.others["index"].directories, str(folder)), folder / "videos/silent.mkv"


REFUSES = "/proc/self/mem"  # opens, and its first bytes are an input/output error


def test_an_original_that_its_disk_refuses_is_read_again_as_if_it_were_away(
    clock, tmp_path, monkeypatch
):
    source, path = copied(clock, tmp_path)
    whole = path.rename(tmp_path / "whole.mkv")
    path.symlink_to(REFUSES)
    pauses = recorded_pauses(monkeypatch, {3: lambda: whole.rename(path)})
    assert reads_first(source) == [True] * 3
    assert tuple(pauses) == waiting.PAUSES[:3] and len(source.unreadable) == 0


def test_a_refusal_that_passes_at_once_costs_neither_a_sample_nor_a_pause(
    clock, tmp_path, monkeypatch
):
    source, path = copied(clock, tmp_path)
    refused = []

    def passing(asked, *rest):
        if asked == path and not refused:
            refused.append(asked)
            with pytest.raises(MediaError) as error:
                read_window(REFUSES, *rest)
            raise MediaError(asked, error.value.reason) from error.value.__cause__
        return read_window(asked, *rest)

    monkeypatch.setattr("vatt_gh.data.stored_windows.read_window", passing)
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: pytest.fail("has waited"))
    assert reads_first(source) == [True] * 3
    assert refused == [path] and len(source.unreadable) == 0


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
