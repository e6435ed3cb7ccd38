"""Clocks that jump: output is bounded by the decoded length, and losses are listed."""

import dataclasses
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from media_files import grey, tone, write_media
from PIL import Image

from vatt_gh.media.form import WHOLE, Form, MediaError, Span
from vatt_gh.media.notes import Notes
from vatt_gh.media.probe import look
from vatt_gh.media.sound import Resampler, place
from vatt_gh.media.video import read_segments, read_window

RATE = 16_000
FORM = Form(fps=10.0, short_side=48, audio_rate=RATE, segment_seconds=4.0, longest_gap=10.0)
HOUR = 3600.0


def read(path, form=FORM):
    notes = Notes()
    return list(read_segments(path, form, notes)), notes.remarks


def joined(tmp_path, offsets, seconds=2.0):
    """Pieces of MPEG-TS with clocks that begin at these seconds; piece k has grey 60 + 60 k."""
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
    assert abs(level(first.stored["frames"][5]) - 60) < 4
    assert abs(level(second.stored["frames"][5]) - 120) < 4
    assert second.start - first.end > 10.0
    # An index reads the same places.
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
    if suffix == "mp4" or gap > 3 * HOUR:  # an index, or an implausible length
        assert abs(look(path, WHOLE, FORM).seconds - 4.0) < 0.3


def test_pictures_that_begin_long_after_the_sound(tmp_path):
    path = write_media(
        tmp_path / "v.mkv",
        [grey(100)] * 20,
        [60 + k / 10 for k in range(20)],
        sound=[(0.0, tone(62.0, RATE))],
    )
    (segment,), remarks = read(path)
    assert (segment.start, segment.count) == (60.0, 20)
    assert np.abs(segment.stored["audio"]).max() > 8000
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
    assert remark.startswith("its clock goes back to ")
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


@pytest.mark.parametrize("offsets", [(0.0, 0.0, 0.0), (5.0, 0.0), (0.0, 6.0, 1.0)])
def test_a_clock_that_goes_back_a_little_is_said_too(tmp_path, offsets):
    path = joined(tmp_path, offsets, 5.0)
    segments, remarks = read(path)
    assert sum(s.count for s in segments) <= 111
    assert any("its clock goes back to" in remark for remark in remarks)
    # Pictures and sound come from the same piece.
    for segment in segments:
        for k in range(0, segment.count - 5, 5):
            sound = segment.stored["audio"][k * RATE // 10 :][: RATE // 2]
            spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
            if np.abs(sound).min() == 0 and np.abs(sound).max() > 12_000:  # not the gap's silence
                piece = round(level(segment.stored["frames"][k]) / 60)
                assert abs(spectrum.argmax() * 2 - 440 * piece) < 10


def test_sound_that_lies_behind_its_time_is_counted(tmp_path):
    pieces = [(0.0, tone(6.0, RATE)), (2.0, tone(3.0, RATE, 880.0)), (6.0, tone(4.0, RATE, 880.0))]
    sound = Resampler(RATE)
    chunks = []
    for start, samples in pieces:
        for first in range(0, len(samples), 1000):
            frame = av.AudioFrame.from_ndarray(samples[None, first : first + 1000], "flt", "mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = round(start * RATE) + first
            chunks += sound.take(frame, 0.0)
    chunks += sound.finish()
    whole = place(chunks, 0, 10 * RATE)
    for second in range(10):
        part = whole[second * RATE : (second + 1) * RATE]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        assert abs(spectrum.argmax() - (440 if second < 6 else 880)) < 5
    assert 2.5 < sound.behind < 3.1


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_slides_stay_as_long_as_somebody_speaks(tmp_path, suffix):
    path = write_media(
        tmp_path / f"v.{suffix}",
        [grey(60 + 40 * k) for k in range(4)],
        [15.0 * k for k in range(4)],
        fps=1,
        sound=[(0.0, tone(60.0, RATE))],
        sound_codec="aac",
    )
    segments, remarks = read(path, dataclasses.replace(FORM, segment_seconds=100.0))
    (segment,) = segments
    assert segment.count >= 451  # the last one is shown for a second, according to its file
    frames = segment.stored["frames"]
    assert [round((level(frames[150 * k + 75]) - 60) / 40) for k in range(3)] == [0, 1, 2]
    assert all(remark.startswith("its pictures end after") for remark in remarks)
    (part,), _ = read(path, dataclasses.replace(FORM, segment_seconds=100.0))
    assert part.count == segment.count


def test_silent_slides_are_no_truncated_file(tmp_path):
    path = write_media(tmp_path / "v.mp4", [grey(60)] * 3, [0.0, 15.0, 30.0], fps=1)
    segments, remarks = read(path)
    assert [round(s.start) for s in segments] == [0, 15, 30]
    assert len(remarks) == 2


@pytest.mark.parametrize(("suffix", "codec"), [("ts", "libx264"), ("mpg", "mpeg1video")])
@pytest.mark.parametrize("group", [10, 60, 150])
def test_a_stretch_of_a_broadcast_shows_its_own_pictures(tmp_path, suffix, codec, group):
    count = 250
    path = write_media(
        tmp_path / f"v.{suffix}",
        [grey(30 + (k * 7) % 200) for k in range(count)],
        [k / 25 for k in range(count)],
        fps=25,
        codec=codec,
        codec_options={"g": str(group), "bf": "0", "threads": "1", "sc_threshold": "0"},
        time_base=Fraction(1, 25),
    )
    form = dataclasses.replace(FORM, fps=25.0, longest_gap=30.0, segment_seconds=100.0)
    (whole,), _ = read(path, form)
    expected = [level(image) for image in whole.stored["frames"]]
    for start, end in ((3.0, 4.0), (5.0, 6.0), (7.5, 9.0)):
        (part,) = read_segments(path, form, None, Span(start, end))
        first = round(start * 25)
        np.testing.assert_allclose(
            [level(image) for image in part.stored["frames"]],
            expected[first : first + part.count],
            atol=3,
        )
        images, _ = read_window(path, form, range(first, first + 20), range(0))
        np.testing.assert_allclose(
            [image.mean() for image in images], expected[first : first + 20], atol=3
        )
