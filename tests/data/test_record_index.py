"""The index of records, against TensorFlow's own reader of the shards."""

import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf
from pausing import recorded_pauses

from tfds_builders.build import build_for
from vatt_gh.data import waiting as waiting_module
from vatt_gh.data.record_index import INDEX_FILE, load_index, write_index
from vatt_gh.data.records import open_source
from vatt_gh.data.sources import find_or_build, find_records
from vatt_gh.errors import UserError

SIZES = ([5, 0, 300], [], [70_000, 1])


@pytest.fixture
def shards(tmp_path):
    """Three shards written by TensorFlow, one of them empty."""
    rng = np.random.default_rng(0)
    for number, sizes in enumerate(SIZES):
        path = tmp_path / f"x-train.tfrecord-0000{number}-of-00003"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for size in sizes:
                writer.write(rng.bytes(size))
    return tmp_path


def bytes_of(index):
    """All records, by place in the index."""
    rows = zip(index.shard, index.offset, index.length, strict=True)
    return [index.files[s].read_bytes()[o : o + n] for s, o, n in rows]


def test_every_record_lies_where_the_index_says(shards):
    index = load_index(shards)  # none yet: it is made
    files = sorted(shards.glob("*.tfrecord-*"))
    expected = list(tf.data.TFRecordDataset([str(f) for f in files]).as_numpy_iterator())
    assert bytes_of(index) == expected
    assert index.files == files
    assert index.shard.tolist() == [0, 0, 0, 2, 2]
    assert (index.shard.dtype, index.offset.dtype, index.length.dtype) == (
        np.int32,
        np.int64,
        np.int64,
    )


def test_the_index_is_read_and_not_made_again(shards):
    write_index(shards)
    before = (shards / INDEX_FILE).stat().st_mtime_ns
    assert bytes_of(load_index(shards)) == bytes_of(write_index(shards))
    load_index(shards)
    assert (shards / INDEX_FILE).stat().st_mtime_ns >= before
    assert not list(shards.glob("*partial*"))
    made = (shards / INDEX_FILE).stat().st_mtime_ns
    load_index(shards)
    assert (shards / INDEX_FILE).stat().st_mtime_ns == made


@pytest.mark.parametrize("cut", [1, 4, 100, 69_999, 70_000 + 16 + 5])
def test_a_truncated_shard_is_not_indexed(shards, cut):
    last = max(shards.glob("*.tfrecord-*"))
    data = last.read_bytes()
    last.write_bytes(data[:-cut])
    with pytest.raises(UserError, match=r"ends in the middle of record [01]") as caught:
        write_index(shards)
    assert caught.value.where == str(last)
    assert not (shards / INDEX_FILE).exists()


def test_a_length_beyond_the_file_is_not_believed(shards):
    first = min(shards.glob("*.tfrecord-*"))
    data = first.read_bytes()
    first.write_bytes(struct.pack("<Q", 2**63) + data[8:])
    with pytest.raises(UserError, match="ends in the middle of record 0"):
        write_index(shards)


@pytest.mark.parametrize("change", ["truncated", "longer", "missing"])
def test_a_shard_that_changed_since_is_named(shards, change):
    write_index(shards)
    last = max(shards.glob("*.tfrecord-*"))
    data = last.read_bytes()
    if change == "missing":
        last.unlink()
    else:
        last.write_bytes(data[:-9] if change == "truncated" else data + b"x")
    with pytest.raises(UserError, match=rf"it had {len(data)} bytes") as caught:
        load_index(shards)
    assert caught.value.where == str(last)
    assert INDEX_FILE in caught.value.todo


def copied(small_records, folder, **options):
    """A source of a copy of the records, its first shard, and the last record."""
    shutil.copytree(small_records, folder)
    source = open_source([folder], **options)
    return source, folder / min(folder.glob("*.tfrecord-*")).name, source.count - 1


def test_a_shard_cut_while_it_is_read_is_noticed(small_records, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(waiting_module, "PAUSES", (0.0,))
    source, path, last = copied(small_records, tmp_path / "copy")
    assert len(source.shards.read(last)) == source.shards.length[last]
    path.write_bytes(path.read_bytes()[:-100])
    assert source.shards.read(last) == source.shards.blank
    assert f"left out: {path}: record {last} ends too early" in capsys.readouterr().err
    assert len(source.unreadable) == 1


def test_a_shard_that_comes_back_in_time_is_read(small_records, tmp_path, monkeypatch):
    """The disk is away at two attempts, and has a part of the file at a third."""
    source, path, last = copied(small_records, tmp_path / "copy")
    whole, data = source.shards.read(last), path.read_bytes()
    away = path.rename(tmp_path / "away")
    events = {2: lambda: path.write_bytes(data[:-50]), 3: lambda: away.rename(path)}
    pauses = recorded_pauses(monkeypatch, events)
    assert source.shards.read(last) == whole
    assert tuple(pauses) == waiting_module.PAUSES[:3] and len(source.unreadable) == 0


def test_shards_that_stay_away_end_the_run(small_records, tmp_path, monkeypatch):
    monkeypatch.setattr(waiting_module, "PAUSES", (0.0,))
    source, path, _ = copied(small_records, tmp_path / "copy", unreadable_share=0.1)
    for shard in path.parent.glob("*.tfrecord-*"):
        shard.unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        for record in range(source.count):
            source.shards.read(record)


def test_records_without_any_are_refused(small_records, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(small_records, folder)
    min(folder.glob("*.tfrecord-*")).write_bytes(b"")
    (folder / INDEX_FILE).unlink()
    with pytest.raises(UserError, match="holds no record"):
        open_source([folder])


def test_records_are_found_where_they_were_built(small_records, clock_config, tmp_path):
    data_dir = small_records.parents[2]
    assert find_records("howto100m", data_dir) == ([small_records], 0)
    assert find_records("howto100m", tmp_path) == ([], 0)
    clock_config.data.data_dir = str(data_dir)
    assert find_or_build(clock_config.data, build_for) == [small_records]
    for name in ("one", "two"):
        shutil.copytree(small_records, tmp_path / "howto100m" / name / "1.0.0")
    with pytest.raises(UserError, match="Several data sets") as caught:
        find_records("howto100m", tmp_path)
    assert str(tmp_path / "howto100m" / "two" / "1.0.0") in caught.value.todo


def test_nothing_to_build_from_is_said(clock_config, tmp_path):
    with pytest.raises(UserError, match="No data directory is given"):
        find_or_build(clock_config.data, build_for)
    clock_config.data.data_dir = str(tmp_path)
    with pytest.raises(UserError, match="nothing to build them from") as caught:
        find_or_build(clock_config.data, build_for)
    assert str(tmp_path) in caught.value.where
