"""Kept windows: equal to windows drawn on demand, and stored completely or not at all."""

import dataclasses
import shutil
import socket
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from streams import assert_equal, batches, joined

from vatt_gh import batch as names
from vatt_gh import files
from vatt_gh.data import kept
from vatt_gh.data.kept import kept_windows
from vatt_gh.data.records import open_source
from vatt_gh.data.text import Tokenizer
from vatt_gh.data.windows import training_windows
from vatt_gh.errors import UserError


@pytest.fixture
def source(clock, tmp_path):
    """Separate records, next to which windows may be written."""
    folder = tmp_path / "records" / "version"
    shutil.copytree(clock.source.directories[0], folder)
    return open_source([folder])


@pytest.fixture
def config(clock_config):
    """A configuration with every random choice, and kept windows."""
    clock_config.data.keep_windows = True
    clock_config.data.augmentation = "inception"
    clock_config.data.colour_jitter, clock_config.data.flip = 0.8, True
    return clock_config


def folders(source):
    return sorted(path.name for path in source.directories[0].glob("*windows-*"))


def test_each_is_what_drawing_it_alone_gives(clock, source, config):
    found = kept_windows(source, clock.tokenizer, config.data)
    assert found.count == source.count * 2
    rows = found.rows(np.arange(found.count))
    for row in range(found.count):
        seed = tf.constant([0, row], tf.int64)
        example = source.read(tf.constant(row // 2, tf.int64))
        alone = training_windows(example, source, clock.tokenizer, config.data, seed[None])
        assert rows.keys() == alone.keys()
        for name, value in alone.items():
            np.testing.assert_array_equal(rows[name][row], value[0].numpy(), name)
            if name in names.DTYPES:
                assert rows[name].dtype == names.DTYPES[name]
    # Both windows of a record differ, or one would be enough.
    assert any(not np.array_equal(*rows[names.VIDEO][2 * k : 2 * k + 2]) for k in range(9))


def test_an_epoch_visits_each_window_once_in_an_order_of_its_own(clock, source, config):
    stream = batches([source], clock, config, 6)  # 18 windows: two epochs
    for device, _ in stream:
        names.check(device)
    seen = [
        (host[names.VIDEO_ID][k], device[names.VIDEO][k].tobytes())
        for device, host in stream
        for k in range(6)
    ]
    assert Counter(seen[:18]) == Counter(seen[18:])
    assert seen[:18] != seen[18:]
    config.seed = 1
    stream = batches([source], clock, config, 3)
    other = [device[names.VIDEO][k].tobytes() for device, _ in stream for k in range(6)]
    assert sorted(other) == sorted(video for _, video in seen[:18])
    assert other != [video for _, video in seen[:18]]
    assert len(folders(source)) == 1


def test_a_position_decides_and_hosts_share(clock, source, config):
    sources = [source, dataclasses.replace(source)]
    whole = batches(sources, clock, config, 5)
    assert_equal(batches(sources, clock, config, 2, position=3 * 6), whole[3:])
    shares = [batches(sources, clock, config, 5, host=host, hosts=2) for host in range(2)]
    assert_equal(joined(shares), whole)


def test_they_are_drawn_once_and_anew_for_other_settings(clock, source, config, monkeypatch):
    kept_windows(source, clock.tokenizer, config.data)
    monkeypatch.setattr(kept, "_fill", None)  # would be an error to call
    kept_windows(source, clock.tokenizer, config.data)
    monkeypatch.undo()
    for number, (key, value) in enumerate({"size": 12, "min_area": 0.6, "candidates": 1}.items()):
        config.data[key] = value
        kept_windows(source, clock.tokenizer, config.data)
        assert len(folders(source)) == number + 2
    kept_windows(source, Tokenizer(clock.vocabulary, 2), config.data)
    kept_windows(source, Tokenizer(clock.vocabulary[:-1], 2), config.data)
    assert len(folders(source)) == 6


def test_what_a_killed_drawing_left_is_removed(clock, source, config):
    name = f"windows-{kept._digest(source, clock.tokenizer, config.data)}"
    left = source.directories[0] / f".{name}.{socket.gethostname()}.killed"
    left.mkdir()
    (left / "video.npy").write_bytes(b"half of it")
    kept_windows(source, clock.tokenizer, config.data)
    assert folders(source) == [name]


def test_an_interrupted_drawing_leaves_nothing(clock, source, config, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(kept.np, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        kept_windows(source, clock.tokenizer, config.data)
    assert not folders(source)


def test_damaged_records_are_not_kept(clock, source, config):
    path = Path(source.shards.files[0])
    data = bytearray(path.read_bytes())
    data[int(source.shards.offset[0]) + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        kept_windows(source, clock.tokenizer, config.data)
    assert not folders(source)


def test_a_disk_without_room_is_said_before(clock, source, config, monkeypatch):
    usage = shutil.disk_usage(source.directories[0])._replace(free=1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="keep_windows=False"):
        kept_windows(source, clock.tokenizer, config.data)
    assert not folders(source)
