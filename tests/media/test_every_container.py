"""A flash and a beep at known times, in every container and codec, read in every way."""

import dataclasses
import io
from fractions import Fraction

import numpy as np
import pytest
from media_files import MILLISECONDS, grey, tone, write_media
from PIL import Image

from vatt_gh.media.form import Form
from vatt_gh.media.library import scan
from vatt_gh.media.mp4 import from_mp4
from vatt_gh.media.sound import from_flac
from vatt_gh.media.video import read_segments, read_window

TIMES = (1.0, 2.4)  # of the flashes, the beeps and the captions, in seconds
LENGTH, SECONDS = 0.2, 3.2
NEAR = 0.02  # s
FORM = Form(fps=50.0, short_side=24, audio_rate=16_000, segment_seconds=100.0)

PICTURES = {
    "libx264": None,
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "mpeg4": {},
}
SOUNDS = {"aac": 44_100, "libopus": 48_000, "libmp3lame": 44_100, "pcm_s16le": 16_000}
# Unsupported combinations; all others are tested.
IMPOSSIBLE = {
    "mp4": set(),
    "webm": {"libx264", "mpeg4", "aac", "libmp3lame", "pcm_s16le"},
    "mkv": set(),
    "avi": {"libopus"},
}
EVERY = [
    (suffix, pictures, sound)
    for suffix in IMPOSSIBLE
    for pictures in PICTURES
    for sound in SOUNDS
    if not {pictures, sound} & IMPOSSIBLE[suffix]
]


def shown(time):
    """Whether a flash, a beep and a caption are on."""
    return any(begin <= time + 1e-6 < begin + LENGTH for begin in TIMES)


def heard(rate):
    """[n] float32: the beeps, at 1 kHz."""
    on = [shown(k / rate) for k in range(round(SECONDS * rate))]
    return (tone(SECONDS, rate, 1000.0) * on).astype(np.float32)


def write_clip(
    path, pictures="libx264", sound="aac", *, rate=None, times=None, begin=0.0, late=0.0, **more
):
    """Writes the clip.

    `begin` is the time stamp of its first picture, and `late` the delay of its sound from TIMES;
    other arguments go to write_media.
    """
    rate = rate or SOUNDS[sound]
    fps = more.setdefault("fps", 25)
    more.setdefault("time_base", Fraction(1, fps))
    more.setdefault("codec_options", PICTURES[pictures])
    if times is None:
        times = [float(k * more["time_base"]) for k in range(round(SECONDS / more["time_base"]))]
    images = [grey(235 if shown(time) else 20, 32, 24) for time in times]
    return write_media(
        path,
        images,
        [begin + time for time in times],
        codec=pictures,
        sound=[(begin + late, heard(rate))],
        rate=rate,
        sound_codec=sound,
        **more,
    )


def onsets(on):
    return np.flatnonzero(on[1:] & ~on[:-1]) + 1


def flashes(images):
    """Seconds at which flashes begin, in frames at the form's rate."""
    return onsets(np.array([np.mean(image) for image in images]) > 128) / FORM.fps


def beeps(audio):
    """Seconds at which beeps begin."""
    loud = np.convolve(np.abs(audio.astype(float)), np.ones(32) / 32, "same")
    return onsets(loud > 0.4 * loud.max()) / FORM.audio_rate


def read_jpeg(path):
    (segment,) = read_segments(path, FORM)
    images = [np.asarray(Image.open(io.BytesIO(data))) for data in segment.stored["frames"]]
    return flashes(images), beeps(segment.stored["audio"])


def read_mp4(path):
    (segment,) = read_segments(path, dataclasses.replace(FORM, storage="mp4"))
    images = list(from_mp4(segment.stored["video"], 0, segment.count))
    samples = round((segment.end - segment.start) * FORM.audio_rate)
    return flashes(images), beeps(from_flac(segment.stored["audio"], 0, samples))


def read_index(path):
    """Two windows that begin in the middle of the file, each with its flash."""
    found = [], []
    for begin in (0.6, 2.2):
        frames = range(round(begin * FORM.fps), round((begin + 0.8) * FORM.fps))
        samples = range(round(begin * FORM.audio_rate), round((begin + 0.8) * FORM.audio_rate))
        images, audio = read_window(path, FORM, frames, samples)
        for times, ours in zip(found, (flashes(images), beeps(audio)), strict=True):
            times.extend(begin + ours)
    return np.array(found[0]), np.array(found[1])


READERS = (read_jpeg, read_mp4, read_index)


def check(path, expected=TIMES, near=NEAR):
    """Asserts that a file's contents are at the expected times, for every way of reading."""
    for reader in READERS:
        for times in reader(path):
            assert len(times) == len(expected), reader.__name__
            np.testing.assert_allclose(times, expected, atol=near, err_msg=reader.__name__)


@pytest.mark.parametrize(("suffix", "pictures", "sound"), EVERY)
def test_flash_and_beep_in_every_container_and_codec(tmp_path, suffix, pictures, sound):
    path = write_clip(tmp_path / f"clip.{suffix}", pictures, sound)
    # These sounds begin before 0, which AVI cannot express: everything was moved by one picture.
    moved = 0.04 if suffix == "avi" and sound in ("aac", "libmp3lame") else 0.0
    check(path, [time + moved for time in TIMES])


@pytest.mark.parametrize("suffix", IMPOSSIBLE)
def test_other_combinations_cannot_be_written(tmp_path, suffix):
    for codec in IMPOSSIBLE[suffix]:
        pictures = codec if codec in PICTURES else "libvpx-vp9"
        sound = codec if codec in SOUNDS else "libopus"
        with pytest.raises(ValueError, match="does not support"):
            write_clip(tmp_path / f"clip.{suffix}", pictures, sound)


@pytest.mark.parametrize(
    ("suffix", "pictures", "sound", "options"),
    [
        ("mp4", "libx264", "aac", {}),
        ("mkv", "libx264", "libopus", {}),
        ("mp4", "mpeg4", "aac", {"bf": "2"}),
        ("avi", "libx264", "pcm_s16le", {}),
        ("avi", "libx264", "pcm_s16le", {"bf": "3", "b_strategy": "0", "g": "12"}),
        ("avi", "mpeg4", "pcm_s16le", {"bf": "2"}),
    ],
)
def test_pictures_that_decoders_hold_back(tmp_path, suffix, pictures, sound, options):
    path = write_clip(tmp_path / f"clip.{suffix}", pictures, sound, codec_options=options)
    check(path)


@pytest.mark.parametrize("options", [{}, {"bf": "3", "b_strategy": "0", "g": "12"}])
def test_pictures_of_avi_files_keep_their_order(tmp_path, options):
    times = [k / 25 for k in range(50)]
    images = [grey(20 + 4 * k, 32, 24) for k in range(50)]
    path = tmp_path / "clip.avi"
    write_media(path, images, times, fps=25, time_base=Fraction(1, 25), codec_options=options)
    form = dataclasses.replace(FORM, fps=25.0)
    (segment,) = read_segments(path, form)
    seen = [np.asarray(Image.open(io.BytesIO(data))).mean() for data in segment.stored["frames"]]
    np.testing.assert_allclose(seen, 20 + 4 * np.arange(50), atol=1.9)
    window, _ = read_window(path, form, range(30, 40), range(0))
    np.testing.assert_allclose([w.mean() for w in window], 20 + 4 * np.arange(30, 40), atol=1.9)


@pytest.mark.parametrize("begin", [0.48, 7.0])
@pytest.mark.parametrize(
    ("suffix", "pictures", "sound"),
    [
        ("mp4", "libx264", "aac"),
        ("mp4", "mpeg4", "pcm_s16le"),
        ("mkv", "libx264", "libopus"),
        ("mkv", "libx264", "pcm_s16le"),
        ("webm", "libvpx-vp9", "libopus"),
    ],
)
def test_time_stamps_that_do_not_begin_at_zero(tmp_path, suffix, pictures, sound, begin):
    # Times are those of players: relative to the first stream's start.
    path = write_clip(tmp_path / f"clip.{suffix}", pictures, sound, begin=begin)
    # AAC begins with 1024 extra samples, which count unless they are before 0.
    before = 1024 / SOUNDS[sound] if sound == "aac" else 0.0
    check(path, [time + before for time in TIMES])


@pytest.mark.parametrize("late", [0.3, -0.3])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_stream_that_begins_after_the_other(tmp_path, suffix, late):
    path = write_clip(tmp_path / f"clip.{suffix}", sound="pcm_s16le", begin=1.0, late=late)
    for reader in READERS[:2]:
        seen, said = reader(path)
        zero = min(late, 0.0)
        np.testing.assert_allclose(seen, np.add(TIMES, -zero), atol=NEAR)
        np.testing.assert_allclose(said, np.add(TIMES, late - zero), atol=NEAR)


@pytest.mark.parametrize(
    ("fps", "unit"), [(30, Fraction(1, 30)), (30, Fraction(1001, 30_000)), (60, Fraction(1, 60))]
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_other_rates_of_pictures(tmp_path, suffix, fps, unit):
    sound = "pcm_s16le" if suffix == "avi" else "aac"
    path = write_clip(tmp_path / f"clip.{suffix}", sound=sound, fps=fps, time_base=unit)
    # A flash begins with the first picture after its time, and shows at the form's next frame.
    begin = [float(-(-time // unit) * unit) for time in map(Fraction, map(str, TIMES))]
    for reader in READERS:
        seen, said = reader(path)
        np.testing.assert_allclose(seen, begin, atol=NEAR + 1e-3, err_msg=reader.__name__)
        np.testing.assert_allclose(said, TIMES, atol=NEAR, err_msg=reader.__name__)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_variable_rate_of_pictures(tmp_path, suffix):
    rng = np.random.default_rng(3)
    times = {0.0, *TIMES, *(time + LENGTH for time in TIMES)}
    times |= set(rng.uniform(0.05, SECONDS, 40).round(3))
    pictures, sound = ("libvpx-vp9", "libopus") if suffix == "webm" else ("libx264", "aac")
    path = write_clip(
        tmp_path / f"clip.{suffix}", pictures, sound, times=sorted(times), time_base=MILLISECONDS
    )
    check(path)


@pytest.mark.parametrize(
    ("suffix", "sound", "rate", "layout"),
    [
        ("mp4", "aac", 8_000, "mono"),
        ("mp4", "libmp3lame", 44_100, "stereo"),
        ("mkv", "pcm_s16le", 8_000, "mono"),
        ("mkv", "libmp3lame", 8_000, "mono"),
        ("avi", "pcm_s16le", 8_000, "mono"),
        ("avi", "pcm_s16le", 44_100, "stereo"),
        ("mp4", "aac", 48_000, "5.1"),
        ("mkv", "libopus", 48_000, "5.1"),
        ("mkv", "pcm_s16le", 48_000, "5.1"),
        ("mkv", "flac", 44_100, "5.1"),
    ],
)
def test_any_rate_and_number_of_channels(tmp_path, suffix, sound, rate, layout):
    check(write_clip(tmp_path / f"clip.{suffix}", sound=sound, rate=rate, layout=layout))


CUES = [(time, time + LENGTH) for time in TIMES]
CAPTIONS = {
    "srt": "".join(
        f"{n}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\nnow\n\n".replace(".", ",")
        for n, (a, b) in enumerate(CUES, 1)
    ),
    "vtt": "WEBVTT\n\n" + "".join(f"00:{a:06.3f} --> 00:{b:06.3f}\nnow\n\n" for a, b in CUES),
    "csv": "start,end,text\n" + "".join(f"{a},{b},now\n" for a, b in CUES),
}


@pytest.mark.parametrize("form", CAPTIONS)
@pytest.mark.parametrize("begin", [0.0, 2.0])
def test_captions_are_said_when_it_flashes(tmp_path, form, begin):
    (tmp_path / "videos").mkdir()
    path = write_clip(tmp_path / "videos" / "clip.mkv", begin=begin)
    path.with_suffix(f".{form}").write_text(CAPTIONS[form])
    said = scan(tmp_path).captions["clip"]
    check(path, [caption.start for caption in said], 2 * NEAR)
    np.testing.assert_allclose([c.start for c in said], TIMES, atol=1e-6)
    np.testing.assert_allclose([c.end for c in said], np.add(TIMES, LENGTH), atol=1e-6)
