"""Detects invalid sound, and accepts other sound."""

import numpy as np
import pytest
from media_files import grey, tone, write_media

from vatt_gh.media.form import Form
from vatt_gh.media.notes import Notes
from vatt_gh.media.video import read_segments

RATE = 16_000
FORM = Form(fps=10.0, short_side=16, audio_rate=RATE, segment_seconds=2.0)


def checked(path):
    notes = Notes()
    segments = list(read_segments(path, FORM, notes))
    return notes.sound, segments[-1].end


def write(path, samples, codec="pcm_f32le", seconds=4):
    images = [grey(60 + k, 32, 32) for k in range(10 * seconds)]
    times = [k / 10 for k in range(10 * seconds)]
    return write_media(path, images, times, sound=[(0.0, samples)], rate=RATE, sound_codec=codec)


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_s16le", "aac", "libopus", "pcm_u8", "flac"])
def test_sound_is_sound_in_every_codec(tmp_path, codec):
    rate = {"libopus": 48_000}.get(codec, RATE)
    images, times = [grey(9, 32, 32)] * 40, [k / 10 for k in range(40)]
    path = tmp_path / "clip.mkv"
    write_media(path, images, times, sound=[(0.0, tone(4, rate))], rate=rate, sound_codec=codec)
    check, seconds = checked(path)
    assert check.problem() is None
    assert check.remark(seconds) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, "holds values that are no numbers"),
        (-np.inf, "holds values that are no numbers"),
        (3e9, "reaches 3e+09 times the loudest sound"),  # integers read as floats
    ],
)
def test_values_that_no_sound_has(tmp_path, value, reason):
    # Written by hand: encoders would clip them.
    path = write(tmp_path / "clip.avi", tone(4, RATE))
    marker = np.float32(tone(4, RATE)[8000:8004]).tobytes()
    data = path.read_bytes()
    path.write_bytes(data)
    samples = np.frombuffer(data, np.uint8).copy()
    place = data.find(_as_written(marker))
    assert place > 0
    samples[place : place + 4] = np.frombuffer(np.float32(value).tobytes(), np.uint8)
    path.write_bytes(samples.tobytes())
    check, _ = checked(path)
    assert check.problem() == f"its sound {reason} and was left out"


def _as_written(marker):
    """Samples after the test writer's rounding to 16 bits."""
    whole = (np.frombuffer(marker, np.float32) * 32767).round().astype(np.int16)
    return (whole.astype(np.float32) / 32768).tobytes()


@pytest.mark.parametrize("level", [0.0, 0.25])
@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_s16le"])
def test_constant_sound(tmp_path, level, codec):
    path = write(tmp_path / "clip.mkv", np.full(4 * RATE, level, np.float32), codec)
    check, _ = checked(path)
    assert check.problem() == "its sound is constant and was left out"


def test_sound_that_ends_before_the_video(tmp_path):
    check, seconds = checked(write(tmp_path / "clip.mkv", tone(1, RATE)))
    assert check.problem() is None
    assert check.remark(seconds) == "its sound ends after 1.0 of 4.0 s; then there is silence"
    check, seconds = checked(write(tmp_path / "full.mkv", tone(3.5, RATE)))
    assert check.remark(seconds) is None
