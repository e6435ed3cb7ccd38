"""Sound files: the same segments as for a video, without frames."""

import dataclasses

import numpy as np
import pytest
from media_files import grey, tone, write_media

from vatt_gh.media.form import Form, MediaError, Span
from vatt_gh.media.notes import Notes
from vatt_gh.media.sound import from_flac
from vatt_gh.media.sound_file import is_sound_file, sound_seconds
from vatt_gh.media.video import read_segments, read_window

RATE = 16_000
FORM = Form(fps=10.0, short_side=32, audio_rate=RATE, segment_seconds=4.0)
KINDS = {  # suffix: codec, its rate
    ".wav": ("pcm_s16le", 44_100),
    ".flac": ("flac", 48_000),
    ".m4a": ("aac", 44_100),
    ".mp3": ("libmp3lame", 44_100),
    ".ogg": ("flac", 48_000),
    ".opus": ("libopus", 48_000),
}
BEEP = 6.4  # s


def beeping(path, seconds=9.73):
    """Silence with a beep of a tenth of a second at BEEP."""
    codec, rate = KINDS[path.suffix]
    sound = np.zeros(round(seconds * rate), np.float32)
    beep = tone(0.1, rate, 1000.0)
    sound[round(BEEP * rate) :][: len(beep)] = beep
    return write_media(path, sound=[(0, sound)], rate=rate, sound_codec=codec)


def beep_in(audio, first=0.0):
    """When the sound becomes loud, in seconds."""
    return first + np.argmax(np.abs(audio.astype(int)) > 5_000) / RATE


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_is_cut_into_segments_in_time(tmp_path, suffix):
    path = beeping(tmp_path / f"sound{suffix}")
    assert is_sound_file(path)
    assert sound_seconds(path) == pytest.approx(9.73, abs=0.1)
    notes = Notes()
    segments = list(read_segments(path, FORM, notes))
    assert [s.index for s in segments] == [0, 1, 2]
    assert [s.start for s in segments] == [0.0, 4.0, 8.0]
    assert segments[-1].end == pytest.approx(9.8, abs=0.101)  # codecs add a little
    for segment in segments:
        assert segment.has_audio
        assert (segment.height, segment.width, segment.stored["frames"]) == (0, 0, [])
        assert segment.count == round((segment.end - segment.start) * FORM.fps)
        assert len(segment.stored["audio"]) == segment.count * RATE // 10
    whole = np.concatenate([s.stored["audio"] for s in segments])
    assert beep_in(whole) == pytest.approx(BEEP, abs=0.02)
    assert notes.sound.problem() is None


@pytest.mark.parametrize("suffix", KINDS)
def test_a_window_is_what_segments_hold(tmp_path, suffix):
    path = beeping(tmp_path / f"sound{suffix}")
    whole = np.concatenate([s.stored["audio"] for s in read_segments(path, FORM)])
    samples = range(round(6.1 * RATE), round(7.3 * RATE))
    pictures, sound = read_window(path, FORM, range(61, 73), samples)
    assert pictures == []
    assert beep_in(sound, 6.1) == pytest.approx(BEEP, abs=0.02)
    # Resampling from another start shifts by up to half a sample.
    half = 2 * np.pi * 1000.0 * 0.5 / RATE * 0.5 * 32768
    assert np.abs(sound.astype(int) - whole[samples.start : samples.stop]).max() < 1.05 * half
    with pytest.raises(MediaError, match=r"has no sound at 20\.0 s"):
        read_window(path, FORM, range(200, 201), range(20 * RATE, 21 * RATE))
    _, behind = read_window(path, FORM, range(90, 120), range(9 * RATE, 12 * RATE))
    assert len(behind) == 3 * RATE
    assert not behind[-RATE:].any()


def test_a_stretch_of_a_file(tmp_path):
    path = beeping(tmp_path / "sound.wav")
    (segment,) = read_segments(path, FORM, span=Span(6.0, 8.0))
    assert (segment.start, segment.end, segment.count) == (6.0, 8.0, 20)
    assert beep_in(segment.stored["audio"], 6.0) == pytest.approx(BEEP, abs=0.02)
    with pytest.raises(MediaError, match=r"has no sound at 30\.0 s"):
        list(read_segments(path, FORM, span=Span(30.0, 32.0)))


def test_storages(tmp_path):
    path = write_media(tmp_path / "sound.wav", sound=[(0, tone(3.0, RATE))], rate=RATE)
    (plain,) = read_segments(path, FORM)
    (packed,) = read_segments(path, dataclasses.replace(FORM, storage="mp4"))
    (named,) = read_segments(path, dataclasses.replace(FORM, storage="index"))
    unpacked = from_flac(packed.stored["audio"], 0, 3 * RATE)
    np.testing.assert_array_equal(unpacked, plain.stored["audio"])
    assert packed.stored["video"] == b""
    assert (named.stored, named.count, named.has_audio) == ({}, 30, True)


def test_what_cannot_be_used_says_why(tmp_path):
    wav = beeping(tmp_path / "sound.wav")
    hum = [(0, tone(9.0, RATE))]
    flac = write_media(tmp_path / "sound.flac", sound=hum, rate=RATE, sound_codec="flac")
    cases = {
        "zero.wav": (b"", "cannot be decoded"),
        "text.mp3": (b"no sound at all", "cannot be decoded"),
        "cut.flac": (flac.read_bytes()[: flac.stat().st_size // 3], "is truncated: "),
        "header.wav": (wav.read_bytes()[:78], "holds no sound"),
    }
    for name, (data, reason) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MediaError, match=reason):
            list(read_segments(tmp_path / name, FORM))
    pictures = [grey(90)] * 5, [k / 10 for k in range(5)]
    silent = write_media(tmp_path / "silent.mp4", *pictures).rename(tmp_path / "silent.m4a")
    with pytest.raises(MediaError, match="has no audio stream"):
        list(read_segments(silent, FORM))
