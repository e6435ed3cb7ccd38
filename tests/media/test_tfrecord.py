"""TFRecord files without TensorFlow, against TensorFlow's own writer; damaged files."""

import struct

import pytest
import tensorflow as tf
from dummy_data import tfrecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vatt_gh.media import tfrecord as module
from vatt_gh.media.tfrecord import masked_crc32c, read_records

# Lengths of one and of two bytes, and data with zeros, like lengths.
RECORDS = [b"first" * 9, b"", b"\0" * 40, bytes(range(256)) * 2, b"\0\0\0\0\1", b"last"]
STARTS = [sum(len(r) + 16 for r in RECORDS[:n]) for n in range(len(RECORDS) + 1)]

tmp_path_is_shared = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path):
    errors = []
    return list(read_records(path, errors)), errors


def untouched(start, end):
    """The records outside these bytes."""
    pairs = zip(STARTS, RECORDS, strict=False)
    return [(s, r) for s, r in pairs if s >= end or s + len(r) + 16 <= start]


def test_checksum_of_a_known_record():
    # CRC-32C of "123456789" is E3069283, as in RFC 3720's tables.
    crc = 0xE3069283
    assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32)


@given(records=st.lists(st.binary(max_size=300), max_size=5))
@tmp_path_is_shared
def test_what_tensorflow_writes(records, tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    found, errors = read(path)
    assert [record for _, record in found] == records
    assert errors == []
    for offset, record in found:
        with open(path, "rb") as file:
            file.seek(offset)
            assert struct.unpack("<Q", file.read(8)) == (len(record),)
    # And vice versa: the tests' own writer.
    assert path.read_bytes() == tfrecord(tmp_path / "b.tfrecord", records).read_bytes()


@given(position=st.integers(0, STARTS[-1] - 1), change=st.integers(1, 255))
@tmp_path_is_shared
def test_one_wrong_byte_costs_one_record(tmp_path, position, change):
    path = tfrecord(tmp_path / "a.tfrecord", RECORDS)
    data = bytearray(path.read_bytes())
    data[position] ^= change
    path.write_bytes(data)
    found, errors = read(path)
    assert found == untouched(position, position + 1)
    (row,) = errors
    start = max(start for start in STARTS if start <= position)
    assert row["path"] == str(path)
    assert row["reason"].startswith(f"the record at byte {start} is broken")


@given(start=st.integers(0, STARTS[-1]), length=st.integers(1, 100))
@tmp_path_is_shared
def test_holes_and_lost_pieces_cost_what_they_touch(tmp_path, start, length):
    path = tfrecord(tmp_path / "a.tfrecord", RECORDS)
    data = path.read_bytes()
    end = min(start + length, len(data))
    holed = data[:start] + bytes(end - start) + data[end:]
    path.write_bytes(holed)
    found, errors = read(path)
    spans = [(s, s + len(r) + 16, r) for s, r in zip(STARTS, RECORDS, strict=False)]
    assert found == [(s, r) for s, e, r in spans if holed[s:e] == data[s:e]]
    assert bool(errors) == (holed != data)
    path.write_bytes(data[:start] + data[end:])
    found, _ = read(path)
    left = [(s if s < start else s - (end - start), r) for s, r in untouched(start, end)]
    # Shifted data may equal lost data: then more is found, but never anything else.
    assert set(left) <= set(found)
    assert {record for _, record in found} <= set(RECORDS)


@given(size=st.integers(0, STARTS[-1]))
@tmp_path_is_shared
def test_a_file_that_is_cut_off(tmp_path, size):
    path = tfrecord(tmp_path / "a.tfrecord", RECORDS)
    path.write_bytes(path.read_bytes()[:size])
    found, errors = read(path)
    assert found == untouched(size, STARTS[-1])
    assert len(errors) == (size not in STARTS)


def test_headers_across_the_pieces_that_are_searched(tmp_path, monkeypatch):
    path = tfrecord(tmp_path / "a.tfrecord", RECORDS)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    for size in range(12, 80):
        monkeypatch.setattr(module, "_CHUNK", size)
        found, errors = read(path)
        assert found == untouched(0, 1)
        assert len(errors) == 1


@pytest.mark.parametrize("zeros", [1, 2])
def test_headers_whose_checksums_begin_with_zeros(tmp_path, zeros):
    length = next(
        n
        for n in range(200_000)
        if masked_crc32c(struct.pack("<Q", n)) % (1 << 8 * zeros) == 0  # little endian
    )
    path = tfrecord(tmp_path / "a.tfrecord", [b"broken", b"a" * length])
    data = bytearray(path.read_bytes())
    data[12] ^= 1
    path.write_bytes(data)
    found, errors = read(path)
    assert [len(record) for _, record in found] == [length]
    assert len(errors) == 1


@pytest.mark.parametrize("content", [b"x", b"\0" * 5_000_000, b"no records" * 1000])
def test_a_file_without_records(tmp_path, content):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    found, errors = read(path)
    assert found == []
    (row,) = errors
    assert f"{len(content)} bytes are left out" in row["reason"]


def test_an_empty_file(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.touch()
    assert read(path) == ([], [])
