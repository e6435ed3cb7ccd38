"""Clocks that jump: what is written is bounded by what is decoded, and what is lost is listed."""

import dataclasses
import io
from fractions import Fraction

import numpy as np
import pytest
from media_files import grey, tone, write_media
from PIL import Image

from vatt_gh.media.form import Form, MediaError
from vatt_gh.media.notes import Notes
from vatt_gh.media.video import read_segments, read_window

RATE = 16_000
FORM = Form(fps=10.0, short_side=48, audio_rate=RATE, segment_seconds=4.0, longest_gap=10.0)
HOUR = 3600.0


def read(path, form=FORM):
    notes = Notes()
    return list(read_segments(path, form, notes)), notes.remarks


def joined(tmp_path, offsets, seconds=2.0):
    """Pieces of MPEG-TS whose clocks begin at these seconds; piece k is of grey 60 + 60 k."""
    parts = []
    for k, offset in enumerate(offsets):
        count = round(10 * seconds)
        part = write_media(
            tmp_path / f"{k}.ts",
            [grey(60 + 60 * k)] * count,
            [n / 10 for n in range(count)],
            sound=[(0.0, tone(seconds, RATE, 440.0 * (k + 1)))],
            sound_codec="mp2",
            options={"output_ts_offset": str(offset)},
        )
        parts.append(part.read_bytes())
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(parts))
    return path


def level(image):
    return np.asarray(Image.open(io.BytesIO(image))).mean()


@pytest.mark.parametrize("offsets", [(HOUR, 0.0), (0.0, HOUR), (7200.0, HOUR), (0.0, 30.0)])
def test_joined_pieces_of_a_broadcast_are_as_long_as_they_are(tmp_path, offsets):
    path = joined(tmp_path, offsets)
    segments, remarks = read(path)
    assert 38 <= sum(s.count for s in segments) <= 41
    assert all(s.end - s.start <= 4.01 for s in segments)
    (remark,) = remarks
    assert remark.startswith("has no picture for ")
    first, second = segments
    assert abs(first.start) < 0.11
    assert abs(level(first.frames[5]) - 60) < 4
    assert abs(level(second.frames[5]) - 120) < 4
    assert second.start - first.end > 10.0
    # What is written as an index is read at the same place.
    (again, last), _ = read(path, dataclasses.replace(FORM, storage="index"))
    assert (again.start, last.start) == (first.start, second.start)
    begin = round(last.start * 10)
    places = range(round(begin * RATE / 10), round((begin + 10) * RATE / 10))
    images, sound = read_window(path, FORM, range(begin, begin + 10), places)
    assert [round(image.mean() / 60) for image in images] == [2] * 10
    assert np.abs(sound).max() > 8000


def test_a_short_gap_is_filled_with_the_last_picture(tmp_path):
    (*_, last), remarks = read(joined(tmp_path, (0.0, 8.0)))
    assert remarks == []
    assert last.end >= 9.9


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("gap", [12.0, 26 * HOUR])
def test_a_gap_is_not_written(tmp_path, suffix, gap):
    times = [*(k / 10 for k in range(20)), *(gap + k / 10 for k in range(20))]
    path = write_media(tmp_path / f"v.{suffix}", [grey(100)] * 40, times)
    segments, remarks = read(path)
    assert [s.count for s in segments] == [20, 20]
    assert [round(s.start, 1) for s in segments] == [0.0, gap]
    (remark,) = remarks
    assert remark.startswith(f"has no picture for {gap - 1.9:.1f} s until {gap:.1f} s")


def test_pictures_that_begin_long_after_the_sound(tmp_path):
    path = write_media(
        tmp_path / "v.mkv",
        [grey(100)] * 20,
        [60 + k / 10 for k in range(20)],
        sound=[(0.0, tone(62.0, RATE))],
    )
    (segment,), remarks = read(path)
    assert (segment.start, segment.count) == (60.0, 20)
    assert np.abs(segment.audio).max() > 8000
    assert remarks == ["has no picture for 60.0 s until 60.0 s: not filled"]


def test_a_clock_that_goes_back_ends_the_video(tmp_path):
    parts = [
        write_media(
            tmp_path / f"{k}.flv",
            [grey(100)] * 20,
            [begin + n / 10 for n in range(20)],
            codec="flv",
        ).read_bytes()
        for k, begin in enumerate((50.0, 0.0))
    ]
    path = tmp_path / "v.flv"
    path.write_bytes(parts[0] + parts[1][13:])  # without its header
    segments, remarks = read(path)
    assert sum(s.count for s in segments) == 20
    (remark,) = remarks
    assert remark.startswith("its clock jumps back by ")
    assert remark.endswith("what follows was left out")


def test_a_clock_of_centuries_ends_the_video_at_once(tmp_path):
    times = [*(k / 10 for k in range(20)), 7.7e9]
    path = write_media(tmp_path / "v.mkv", [grey(100)] * 21, times, time_base=Fraction(1, 10))
    segments, remarks = read(path)
    assert sum(s.count for s in segments) == 20
    (remark,) = remarks
    assert remark.endswith("what follows was left out")


def test_sound_alone_with_a_gap(tmp_path):
    for gap in (13.0, 20 * HOUR):
        pieces = [(0.0, tone(2.0, RATE)), (gap, tone(2.0, RATE, 880.0))]
        path = write_media(tmp_path / "v.mka", sound=pieces).rename(tmp_path / "v.m4a")
        segments, remarks = read(path)
        assert [s.count for s in segments] == [20, 20]
        assert [round(s.start, 1) for s in segments] == [0.0, gap]
        assert remarks == [f"has no sound for {gap - 2:.1f} s until {gap:.1f} s: not filled"]


def test_a_video_without_any_time_that_can_be_is_refused(tmp_path):
    path = write_media(
        tmp_path / "v.mkv",
        [grey(100)] * 2,
        [7.7e9, 7.7e9 + 1],
        sound=[(0.0, tone(1.0, RATE))],
        time_base=Fraction(1, 10),
    )
    with pytest.raises(MediaError):
        read(path)
