"""Real-world files: covers, tracks, changes midway, streams of any length."""

import contextlib
import dataclasses
import io
import struct

import av
import numpy as np
import pytest
from media_files import grey, tone, write_media
from PIL import Image

from vatt_gh.media.form import WHOLE, Form, MediaError
from vatt_gh.media.mp4 import from_mp4
from vatt_gh.media.notes import Notes
from vatt_gh.media.probe import Look, look
from vatt_gh.media.sound import Resampler
from vatt_gh.media.video import read_segments, read_window

RATE = 16_000
FORM = Form(fps=10.0, short_side=48, audio_rate=RATE, segment_seconds=100.0)


def moving(seconds, width=64, height=48):
    """Pictures with grey levels that encode time: 40 + 10 per 0.1 s, repeating every 2 s."""
    count = round(10 * seconds)
    images = [grey(40 + 10 * (k % 20), width, height) for k in range(count)]
    return images, [k / 10 for k in range(count)]


def write(path, seconds=4.0, hertz=440.0, **options):
    return write_media(path, *moving(seconds), sound=[(0.0, tone(seconds, RATE, hertz))], **options)


def add_video(out):
    """A stream of H.264 without delayed pictures."""
    stream = out.add_stream("libx264", rate=10, options={"bf": "0", "threads": "1"})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def add_cover(out):
    """A stream for a cover picture."""
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


def read(path, form=FORM, span=WHOLE):
    """Segments and remarks, which include unusable sound."""
    notes = Notes()
    segments = list(read_segments(path, form, notes, span))
    problem = notes.sound.problem() if segments[0].has_audio else None
    return segments, [*notes.remarks, *([problem] if problem else [])]


def pitch(samples, rate=RATE):
    """[n] int16 -> Hz of the strongest tone."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


def levels(segment):
    """The mean grey of each frame."""
    return [np.asarray(Image.open(io.BytesIO(image))).mean() for image in segment.stored["frames"]]


def is_moving(segment):
    return (np.abs(np.diff(levels(segment))) > 5).mean() > 0.9


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("first", [True, False])
def test_a_cover_picture_is_no_video(tmp_path, suffix, first):
    path = tmp_path / f"v.{suffix}"
    with av.open(str(path), "w") as out:
        picture = add_cover(out) if first else None
        video = add_video(out)
        picture = picture or add_cover(out)
        for image in moving(3.0)[0]:
            out.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(video.encode(None))
        out.mux(picture.encode(av.VideoFrame.from_ndarray(grey(250, 32, 32), format="rgb24")))
        out.mux(picture.encode(None))
    (segment,), remarks = read(path)
    assert (segment.count, remarks, is_moving(segment)) == (30, [], True)
    assert isinstance(look(path, WHOLE, FORM), Look)


def test_a_file_of_a_cover_alone_has_no_video(tmp_path):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as out:
        stream = add_cover(out)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(grey(250, 32, 32), format="rgb24")))
        out.mux(stream.encode(None))
    with pytest.raises(MediaError, match="has a cover picture and no video"):
        read(path)


def glued(path, *parts):
    """Concatenates files of a kind that may be joined bytewise."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


SETUPS = [
    ((48_000, "mono"), (44_100, "stereo")),
    ((44_100, "stereo"), (48_000, "mono")),
    ((RATE, "mono"), (22_050, "mono")),
]


def two_sounds(tmp_path, setups, suffix, codec):
    """3 s of 440 Hz and 3 s of 880 Hz, in one sound file."""
    parts = [
        write_media(
            tmp_path / f"{k}.{suffix}",
            sound=[(0.0, tone(3.0, rate, hertz))],
            rate=rate,
            layout=layout,
            sound_codec=codec,
        )
        for k, ((rate, layout), hertz) in enumerate(zip(setups, (440.0, 880.0), strict=True))
    ]
    return glued(tmp_path / f"v.{suffix}", *parts)


@pytest.mark.parametrize(("suffix", "codec"), [("mp3", "libmp3lame"), ("aac", "aac")])
@pytest.mark.parametrize("setups", SETUPS)
def test_sound_that_changes_midway_keeps_its_pitch_and_its_place(tmp_path, suffix, codec, setups):
    segments, remarks = read(two_sounds(tmp_path, setups, suffix, codec))
    sound = np.concatenate([s.stored["audio"] for s in segments])
    # The header of the second file is not sound.
    assert all("damaged in places: 1 of" in remark for remark in remarks)
    assert abs(len(sound) / RATE - 6.0) < 0.25  # codecs add silence at both ends
    assert abs(pitch(sound[: 2 * RATE]) - 440) < 3
    assert abs(pitch(sound[-2 * RATE :]) - 880) < 3


@pytest.mark.parametrize("setups", [*SETUPS, ((48_000, "mono"), (48_000, "mono"))])
def test_of_several_flac_files_in_one_the_first_is_read(tmp_path, setups):
    (segment,), remarks = read(two_sounds(tmp_path, setups, "flac", "flac"))
    assert remarks == ["holds several FLAC files; those behind the first one were left out"]
    assert 2.6 < len(segment.stored["audio"]) / RATE < 3.11  # FFmpeg may withhold the last packets
    assert abs(pitch(segment.stored["audio"]) - 440) < 3


def test_sound_in_a_video_that_changes_midway(tmp_path):
    parts = [
        write_media(
            tmp_path / f"{k}.ts",
            *moving(3.0),
            sound=[(0.0, tone(3.0, rate, hertz))],
            rate=rate,
            layout=layout,
            sound_codec="mp2",
            options={"output_ts_offset": str(3 * k)},
        )
        for k, (rate, layout, hertz) in enumerate(
            [(48_000, "mono", 440.0), (32_000, "stereo", 880.0)]
        )
    ]
    (segment,), remarks = read(glued(tmp_path / "v.ts", *parts))
    assert remarks == []
    assert abs(segment.count - 60) <= 1
    assert abs(pitch(segment.stored["audio"][RATE // 2 : 5 * RATE // 2]) - 440) < 3
    assert abs(pitch(segment.stored["audio"][7 * RATE // 2 : 11 * RATE // 2]) - 880) < 3


def without_decoder(path, old, count=0):
    """An mp4 file whose count-th stream of a kind has an unknown codec."""
    data = path.read_bytes()
    places = [k for k in range(len(data)) if data[k : k + 4] == old and k > data.index(b"stsd")]
    where = places[count]
    data = data[:where] + b"zzzz" + data[where + 4 :]
    if old == b"mp4a":
        inside = data.index(b"esds", where)
        data = data[:inside] + b"dapa" + data[inside + 4 :]
    path.write_bytes(data)
    return path


def two_tracks(path, sounds, default):
    """A video with several sound tracks of 4 s."""
    with av.open(str(path), "w") as out:
        video = add_video(out)
        tracks = []
        for k in range(len(sounds)):
            stream = out.add_stream("aac", rate=RATE, layout="mono")
            stream.disposition = 1 if k == default else 0
            tracks.append(stream)
        for image in moving(4.0)[0]:
            out.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(video.encode(None))
        for stream, samples in zip(tracks, sounds, strict=True):
            for first in range(0, len(samples), 1024):
                part = samples[None, first : first + 1024]
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = RATE, first
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


UNKNOWN = "a codec that no decoder here knows"


def test_a_codec_that_nobody_knows_costs_its_stream(tmp_path):
    path = without_decoder(write(tmp_path / "v.mp4", sound_codec="aac"), b"mp4a")
    (segment,), remarks = read(path)
    assert (segment.count, segment.has_audio) == (40, False)
    assert remarks == [f"its sound is in {UNKNOWN}, and was left out"]
    assert look(path, WHOLE, FORM).remarks == tuple(remarks)
    path = without_decoder(write(tmp_path / "w.mp4", sound_codec="aac"), b"avc1")
    with pytest.raises(MediaError, match=f"its pictures are in {UNKNOWN}"):
        read(path)
    assert look(path, WHOLE, FORM).reason == f"its pictures are in {UNKNOWN}"
    sounds = [tone(4.0, RATE, 440.0), tone(4.0, RATE, 880.0)]
    for unknown, hertz in ((0, 880), (1, 440)):
        path = two_tracks(tmp_path / "two.mp4", sounds, 0)
        (segment,), remarks = read(without_decoder(path, b"mp4a", unknown))
        assert remarks == []
        assert abs(pitch(segment.stored["audio"]) - hertz) < 3


def test_the_default_track_is_taken_unless_it_is_silent(tmp_path):
    silence, low, high = np.zeros(4 * RATE, np.float32), tone(4.0, RATE), tone(4.0, RATE, 880.0)
    late = np.concatenate([silence[: 3 * RATE], high[:RATE]])
    for sounds, default, hertz in [
        ((low, high), 0, 440),
        ((low, high), 1, 880),
        ((low, silence), 1, 440),
        ((silence, high), 0, 880),
        ((low, late), 1, 880),
    ]:
        path = two_tracks(tmp_path / f"{hertz}{default}.mkv", sounds, default)
        (segment,), remarks = read(path)
        assert remarks == []
        assert abs(pitch(segment.stored["audio"][3 * RATE :]) - hertz) < 3
        _, window = read_window(path, FORM, range(30, 40), range(3 * RATE, 4 * RATE))
        assert abs(pitch(window) - hertz) < 3
    (segment,), remarks = read(two_tracks(tmp_path / "none.mkv", (silence, silence), 1))
    assert remarks == ["its sound is constant and was left out"]


@pytest.mark.parametrize("channels", [3, 9, 12, 60])
def test_channels_without_a_place_are_averaged(tmp_path, channels):
    rate, count = 8_000, 16_000
    sound = np.zeros((count, channels), np.int16)
    sound[:, channels - 1] = 32_000 * tone(2.0, rate)  # amplitude 16000, in one of them
    body = sound.astype("<i2").tobytes()
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    path = tmp_path / "v.wav"
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", 36 + len(body))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + head
        + b"data"
        + struct.pack("<I", len(body))
        + body
    )
    (segment,), remarks = read(path, dataclasses.replace(FORM, audio_rate=rate))
    assert remarks == []
    audio = segment.stored["audio"]
    assert abs(pitch(audio, rate) - 440) < 3
    assert abs(np.abs(audio[100:-100]).max() - 16_000 / channels) < 0.1 * 16_000 / channels


@pytest.mark.parametrize("layout", ["5.1", "5.1(side)", "5.0(side)"])
def test_channels_with_a_place_are_mixed_as_ffmpeg_does(layout):
    frame = av.AudioFrame.from_ndarray(
        np.zeros((av.AudioLayout(layout).nb_channels, 1600), np.float32), "fltp", layout
    )
    frame.sample_rate = RATE
    signal = np.array(tone(0.1, RATE))
    memoryview(frame.planes[0]).cast("B")[:] = (
        signal.astype(np.float32).tobytes().ljust(frame.planes[0].buffer_size, b"\0")
    )
    expected = av.AudioResampler("s16", "mono", RATE).resample(frame)[0].to_ndarray()[0]
    (chunk,) = Resampler(RATE).take(frame, 0.0)
    np.testing.assert_array_equal(chunk[1], expected)
    assert np.abs(expected).max() > 1000


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_each_stream_is_judged_by_its_own_length(tmp_path, suffix):
    path = write_media(
        tmp_path / f"v.{suffix}", *moving(8.0), sound=[(0.0, tone(20.0, RATE))], sound_codec="aac"
    )
    (segment,), remarks = read(path)
    assert (segment.count, len(segment.stored["audio"])) == (80, 8 * RATE)
    (remark,) = remarks
    assert remark.startswith("its pictures end after 8.0 of 20.")
    assert look(path, WHOLE, FORM).remarks == (remark,)


def test_subtitles_that_outlast_the_pictures(tmp_path):
    times = ((f"00:00:{k:02},000", f"00:00:{k + 2:02},000") for k in range(0, 30, 3))
    (tmp_path / "v.srt").write_text("1\n" + "".join(f"{a} --> {b}\nwords\n\n" for a, b in times))
    files = [write(tmp_path / "short.mkv", 4.0), tmp_path / "v.srt"]
    with av.open(str(tmp_path / "v.mkv"), "w") as out, contextlib.ExitStack() as stack:
        pairs = []
        for file in files:
            source = stack.enter_context(av.open(str(file)))
            streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
            pairs += [(p, streams[p.stream.index]) for p in source.demux() if p.dts is not None]
        for packet, stream in sorted(pairs, key=lambda pair: pair[0].dts * pair[0].time_base):
            packet.stream = stream
            out.mux(packet)
    (segment,), remarks = read(tmp_path / "v.mkv")
    assert segment.count == 40
    assert all(remark.startswith("its pictures end after") for remark in remarks)


@pytest.mark.parametrize("storage", ["jpeg", "mp4"])
def test_a_frame_of_another_size_keeps_its_shape(tmp_path, storage):
    """A white square stays square: pictures become twice as wide, and half as large."""

    def square(width, height, side):
        image = grey(0, width, height)
        top, left = (height - side) // 2, (width - side) // 2
        image[top : top + side, left : left + side] = 255
        return image

    parts = [
        write_media(
            tmp_path / f"{k}.ts",
            [square(*size)] * 20,
            [0.1 * n for n in range(20)],
            options={"output_ts_offset": str(2 * k)},
        )
        for k, size in enumerate([(64, 48, 24), (128, 48, 24)])
    ]
    path = glued(tmp_path / "v.ts", *parts)
    images, _ = read_window(path, FORM, range(0, 40), range(0))
    late, _ = read_window(path, FORM, range(30, 40), range(0), (48, 64))
    np.testing.assert_array_equal(late, images[30:])
    form = dataclasses.replace(FORM, storage=storage)
    (segment,), remarks = read(path, form)
    assert (segment.count, segment.height, segment.width, remarks) == (40, 48, 64, [])
    if storage == "jpeg":
        stored = [np.asarray(Image.open(io.BytesIO(image))) for image in segment.stored["frames"]]
    else:
        stored = [image.copy() for image in from_mp4(segment.stored["video"], 0, 40)]
    for pictures in (images, stored):
        for k, side in ((5, 24), (35, 12)):
            white = pictures[k][..., 1] > 128
            rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
            assert abs(len(rows) - side) <= 2
            assert abs(len(columns) - side) <= 2
            assert abs(rows.mean() - 23.5) <= 1
            assert abs(columns.mean() - 31.5) <= 1
