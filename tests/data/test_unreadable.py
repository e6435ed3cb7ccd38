"""Damage found while reading: named, counted, listed; everything else is read as before."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import streams

from vatt_gh import batch as names
from vatt_gh.data import unreadable as unreadable_module
from vatt_gh.data import waiting
from vatt_gh.data.clips import captioned_clips
from vatt_gh.data.records import open_source
from vatt_gh.data.stored_windows import _of_original
from vatt_gh.data.unreadable import Unreadable
from vatt_gh.errors import UserError


def batches(source, clock, config, count):
    return streams.batches([source], clock, config, count)


def assert_left_out(found, expected, lost):
    """Samples of lost videos are masked, all others are the same."""
    for (left, left_host), (right, right_host) in zip(found, expected, strict=True):
        for k, video in enumerate(right_host[names.VIDEO_ID]):
            if lost(video, right_host[names.START][k]):
                assert not left[names.VIDEO_MASK][k]
                assert not left[names.AUDIO_MASK][k]
                assert not left[names.TEXT_MASK][k]
                assert (left[names.VIDEO][k] == 0).all()
                assert (left[names.AUDIO][k] == 0).all()
            else:
                assert left_host[names.VIDEO_ID][k] == video
                for name in left:
                    np.testing.assert_array_equal(left[name][k], right[name][k], name)


@pytest.mark.parametrize("storage", ["jpeg", "mp4", "index"])
def test_a_record_with_a_wrong_checksum_is_left_out(clock, clock_config, tmp_path, capfd, storage):
    whole = clock.source if storage == "jpeg" else clock.others[storage]
    folder = tmp_path / "copy"
    shutil.copytree(whole.directories[0], folder)
    # One with captions.
    record = next(n for n in range(whole.count) if len(whole.read(n)["captions"]["text"]))
    (shard,) = folder.glob("*.tfrecord-*")
    data = bytearray(shard.read_bytes())
    data[int(whole.shards.offset[record]) + int(whole.shards.length[record]) // 2] ^= 1
    shard.write_bytes(data)
    source = open_source([folder])
    source.unreadable.log = tmp_path / "skipped.jsonl"
    example = whole.read(record)
    video, start = example["video_id"].numpy(), float(example["start"])
    end = float(example["end"])
    expected = batches(whole, clock, clock_config, 6)
    assert any(video in host[names.VIDEO_ID] for _, host in expected)
    found = batches(source, clock, clock_config, 6)
    assert_left_out(found, expected, lambda v, s: v == video and start <= s < end)
    (row,) = map(json.loads, (tmp_path / "skipped.jsonl").read_text().splitlines())
    assert row["path"] == str(shard)
    assert row["reason"].startswith(
        f"record {record} at byte {whole.shards.offset[record]} does not fit"
    )
    assert len(source.unreadable) == 1
    assert capfd.readouterr().err.count(f"left out: {shard}") == 1
    data = clock_config.data
    fewer, all_clips = (
        sum(
            len(b["caption"])
            for b in captioned_clips(one, clock.tokenizer, clock_config.data, size=4)
        )
        for one in (source, whole)
    )
    assert 0 < fewer < all_clips


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_an_original_that_is_gone_is_left_out(clock, clock_config, tmp_path, damage, monkeypatch):
    monkeypatch.setattr(waiting, "PAUSES", (0.0,))
    moved = tmp_path / "moved"
    shutil.copytree(clock.manual_dir, moved)
    path = moved / "videos" / "whole.mkv"
    path.unlink()
    if damage == "empty":
        path.touch()
    source = open_source(clock.others["index"].directories, str(moved))
    found = batches(source, clock, clock_config, 3)
    expected = batches(clock.others["index"], clock, clock_config, 3)
    assert_left_out(found, expected, lambda video, start: video == b"whole")
    assert len(source.unreadable) == 1
    clips = captioned_clips(source, clock.tokenizer, clock_config.data, size=4)
    assert {video for batch in clips for video in batch[names.VIDEO_ID]} == {b"silent"}


def test_that_no_original_can_be_read_ends_the_run(clock, clock_config, tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "PAUSES", (0.0,))
    (tmp_path / "videos").mkdir()  # as if a disk were not mounted
    source = open_source(clock.others["index"].directories, str(tmp_path), unreadable_share=0.5)
    with pytest.raises(UserError, match="records that were read are damaged or gone"):
        batches(source, clock, clock_config, 3)


def test_a_record_of_somebody_else_reads_no_file_outside(clock, tmp_path, monkeypatch):
    secret = tmp_path / "secret.mkv"
    shutil.copy(clock.manual_dir / "videos" / "whole.mkv", secret)
    folder = tmp_path / "manual"
    (folder / "videos").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("../secret.mkv", str(secret), "videos/../../secret.mkv", "http://localhost/a.mkv"):
        for manual_dir in (folder, Path()):
            unreadable = Unreadable()
            form = clock.others["index"].form
            decode = _of_original(form, Path(manual_dir), unreadable)
            wanted = np.arange(3)[None], np.arange(30)[None], np.array([[0, 0, 8, 8]])
            pictures, sound, there = decode(
                *(name.encode(), np.float32(0), np.int32(8), np.int32(8), True),
                *(*wanted, np.array([False]), np.array([8, 8])),
            )
            assert not there
            assert not pictures.any()
            assert not sound.any()
            assert len(unreadable) == 1


@pytest.mark.parametrize("storage", ["jpeg", "mp4"])
def test_that_every_record_is_damaged_ends_the_run(clock, clock_config, tmp_path, storage):
    whole = clock.source if storage == "jpeg" else clock.others[storage]
    folder = tmp_path / "copy"
    shutil.copytree(whole.directories[0], folder)
    (shard,) = folder.glob("*.tfrecord-*")
    data = bytearray(shard.read_bytes())
    for offset, length in zip(whole.shards.offset, whole.shards.length, strict=True):
        data[int(offset) + int(length) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UserError, match="records that were read are damaged or gone"):
        batches(open_source([folder], unreadable_share=0.1), clock, clock_config, 6)


def test_how_much_may_be_damaged(capsys):
    def ends(count, share, fails):
        unreadable = Unreadable(count, share)
        for number, fail in enumerate(fails):
            unreadable.read()
            if fail:
                try:
                    unreadable.add("file", f"record {number}", number)
                except UserError as error:
                    assert error.where == "file"
                    return number
        return None

    every_tenth = [k % 10 == 9 for k in range(1000)]
    assert ends(1000, 0.1, every_tenth) is None
    assert ends(1000, 0.05, every_tenth) == 509  # the 51st
    assert ends(1000, 0.1, [True] * 200) == 100
    assert ends(10_000, 0.1, [True] * 8 + [False] * 900) is None  # of one file
    assert ends(93, 0.1, [True] * 93) == 9
    assert ends(3, 0.1, [True, False, True, False]) is None  # a few of a few
    assert ends(3, 0.1, [True, True, True]) == 2
    assert ends(1000, 1.0, [True] * 100) is None


@pytest.mark.parametrize("count", [93, 5000, 1_000_000])
def test_what_was_whole_for_many_epochs_does_not_hide_what_is_gone(count, monkeypatch, capsys):
    """A twelfth is damaged all the time; then nothing is there any more."""
    monkeypatch.setattr(unreadable_module, "_RECENT", 20_000)
    unreadable = Unreadable(count, 0.1)
    before = max(20 * count, 60_000) if count < 10_000 else 100_000
    for number in range(before):
        unreadable.read()
        if number % count % 12 == 0:
            unreadable.add("file", "is damaged", number % count)
    with pytest.raises(UserError, match="are damaged or gone; the last one: is gone") as ended:
        for number in range(before, before + 2 * count):
            unreadable.read()
            unreadable.add("file", "is gone", number % count)
    assert number - before <= min(count, 20_000) / 10
    assert unreadable.error is ended.value


def test_what_has_come_back_is_forgotten(capsys):
    unreadable = Unreadable(1000, 0.1)
    for epoch in range(20):  # each time other records are away for a while
        for number in range(1000):
            unreadable.read()
            if number // 40 == epoch:
                unreadable.add("file", "is gone", number)


def test_records_of_two_splits_are_counted_together(capsys):
    unreadable = Unreadable(3, 0.1)
    unreadable.expect(1000)
    for number in range(100):
        unreadable.read()
        unreadable.add("file", "is damaged", number)
    unreadable.read()
    with pytest.raises(UserError):
        unreadable.add("file", "is damaged", 100)
