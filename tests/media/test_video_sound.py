"""Sound of any video file: its rate, its timing, and its part of every segment."""

import numpy as np
import pytest
from media_files import grey, tone, write_media

from vatt_gh.media.form import Form, MediaError
from vatt_gh.media.video import read_segments

RATE = 16_000
FORM = Form(fps=10.0, short_side=16, audio_rate=RATE, segment_seconds=1000.0, jpeg_quality=50)


def sound_of(path, form=FORM):
    return np.concatenate([s.stored["audio"] for s in read_segments(path, form)]) / 32768


def pictures(seconds, begin=0.0):
    count = round(seconds * 10)
    return {"images": [grey(99, 32, 32)] * count, "times": [begin + k / 10 for k in range(count)]}


def chirp(time):
    """A sound that never repeats, so that any shift shows; rises from 200 Hz by 150 Hz per s."""
    return 0.5 * np.sin(2 * np.pi * (200 * time + 75 * time**2))


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("source", [8_000, 16_000, 44_100, 48_000])
def test_any_rate_becomes_the_form_s_and_nothing_moves(tmp_path, source, layout):
    heard = chirp(np.arange(3 * source) / source).astype(np.float32)
    path = write_media(
        tmp_path / "clip.mkv", **pictures(3), sound=[(0.0, heard)], rate=source, layout=layout
    )
    audio = sound_of(path)
    expected = chirp(np.arange(len(audio)) / RATE)
    assert len(audio) == pytest.approx(3 * RATE, abs=RATE / 10)
    inner = slice(200, 2 * RATE)  # filters ring at the edges
    np.testing.assert_allclose(audio[inner], expected[inner], atol=2e-3)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"), [("mp4", "aac", 44_100), ("webm", "libopus", 48_000)]
)
def test_lossy_codecs_do_not_move_sound(tmp_path, suffix, codec, rate):
    # These add samples before the first one, which readers must drop.
    heard = chirp(np.arange(3 * rate) / rate).astype(np.float32)
    picture = {"codec": "libvpx"} if suffix == "webm" else {}
    path = write_media(
        tmp_path / f"clip.{suffix}",
        **pictures(3),
        **picture,
        sound=[(0.0, heard)],
        rate=rate,
        sound_codec=codec,
    )
    audio = sound_of(path)
    window = chirp(np.arange(RATE, 2 * RATE) / RATE)
    fits = {k: audio[RATE + k : 2 * RATE + k] @ window for k in range(-400, 401)}
    assert abs(max(fits, key=fits.get)) <= 16  # 1 ms


def test_sound_that_begins_late_is_silent_before(tmp_path):
    path = write_media(tmp_path / "clip.mkv", **pictures(3), sound=[(1.0, tone(1.5, RATE))])
    audio = sound_of(path)
    assert not audio[:RATE].any()
    np.testing.assert_allclose(audio[RATE : 5 * RATE // 2], tone(1.5, RATE), atol=1e-4)
    assert not audio[5 * RATE // 2 :].any()


def test_sound_that_begins_before_the_pictures_keeps_its_place(tmp_path):
    path = write_media(
        tmp_path / "clip.mkv", **pictures(2, begin=1.0), sound=[(0.0, tone(3, RATE))]
    )
    (segment,) = read_segments(path, FORM)
    assert len(segment.stored["frames"]) == pytest.approx(30, abs=1)
    count = len(segment.stored["audio"])
    np.testing.assert_allclose(segment.stored["audio"] / 32768, tone(3, RATE)[:count], atol=1e-4)


def test_gaps_stay_gaps(tmp_path):
    # Like a cut recording: the rest must not move to the front.
    pieces = [(0.5, tone(1, RATE)), (2.5, tone(1, RATE, 300.0)), (3.8, tone(0.5, RATE))]
    path = write_media(tmp_path / "clip.mkv", **pictures(5), sound=pieces)
    audio = sound_of(path)
    expected = np.zeros(len(audio))
    for start, samples in pieces:
        first = round(start * RATE)
        expected[first : first + len(samples)] = samples
    np.testing.assert_allclose(audio, expected, atol=1e-4)


def test_inaccurate_time_stamps_do_not_tear_sound(tmp_path):
    samples = tone(2, RATE)
    step, jitter = 800, (0.0, 0.02, -0.01, 0.03, -0.02)
    pieces = [
        (k * step / RATE + jitter[k % 5] * (k > 0), samples[k * step : (k + 1) * step])
        for k in range(len(samples) // step)
    ]
    path = write_media(tmp_path / "clip.mkv", **pictures(2), sound=pieces)
    audio = sound_of(path)
    np.testing.assert_allclose(audio, samples[: len(audio)], atol=1e-4)


@pytest.mark.parametrize("heard", [0.5, 12.5])
def test_segments_hold_the_whole_sound_in_pieces(tmp_path, heard):
    # The short sound ends long before the pictures: segments must not wait for more of it.
    sound = chirp(np.arange(round(heard * RATE)) / RATE).astype(np.float32)
    path = write_media(tmp_path / "clip.mkv", **pictures(26.5), sound=[(0.0, sound)])
    segments = list(read_segments(path, Form(10.0, 16, RATE, 2.0, 50)))
    assert len(segments) == 13
    for segment in segments:
        assert len(segment.stored["audio"]) == len(segment.stored["frames"]) * RATE // 10
    audio = np.concatenate([s.stored["audio"] for s in segments]) / 32768
    np.testing.assert_allclose(audio[: len(sound)], sound, atol=1e-4)
    assert not audio[len(sound) :].any()


def test_a_video_without_a_sound_stream_has_none(tmp_path):
    path = write_media(tmp_path / "clip.mp4", **pictures(5))
    segments = list(read_segments(path, Form(10.0, 16, RATE, 2.0, 50)))
    assert len(segments) == 3
    assert [(s.has_audio, len(s.stored["audio"])) for s in segments] == [(False, 0)] * 3


@pytest.mark.parametrize("heard", [0.5, 30.0])
def test_segments_come_while_the_rest_is_still_to_be_read(tmp_path, heard):
    # A long video must not wait in memory for sound that never comes.
    rng = np.random.default_rng(0)  # noise: time in the file is proportional to bytes
    images = [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(300)]
    times = [k / 10 for k in range(300)]
    path = write_media(tmp_path / "clip.mkv", images, times, sound=[(0.0, tone(heard, RATE))])
    data = path.read_bytes()
    path.write_bytes(data[: int(0.8 * len(data))])
    segments = []
    with pytest.raises(MediaError, match="is truncated"):
        segments.extend(read_segments(path, Form(10.0, 16, RATE, 2.0, 50)))
    assert len(segments) >= 5
