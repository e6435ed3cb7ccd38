"""Pictures of any video file: constant rate, upright, square pixels, in segments."""

import dataclasses
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from media_files import grey, write_media
from PIL import Image

from vatt_gh.media.form import Form, MediaError, Span
from vatt_gh.media.mp4 import from_mp4
from vatt_gh.media.sound import from_flac
from vatt_gh.media.video import read_segments, read_window

FORM = Form(fps=10.0, short_side=48, audio_rate=16_000, segment_seconds=1000.0, jpeg_quality=95)


def images_of(path, form=FORM):
    return [
        np.asarray(Image.open(io.BytesIO(data)), np.int32)
        for segment in read_segments(path, form)
        for data in segment.stored["frames"]
    ]


def shown_at(times, moments):
    """The source frame on screen at each time: the last one that has begun."""
    return [max(k for k, time in enumerate(times) if time <= moment) for moment in moments]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("times", "fps"),
    [
        ([k / 25 for k in range(25)], 10.0),
        ([k / 25 for k in range(25)], 25.0),
        ([k / 25 for k in range(25)], 12.5),
        ([round(k / 29.97, 3) for k in range(24)], 10.0),
        ([k / 5 for k in range(20)], 10.0),  # every frame twice
        ([0, 0.05, 0.3, 0.31, 0.32, 0.9, 1.2, 1.25, 2.0], 10.0),  # any times
        ([0, 0.001, 0.002, 3.0], 4.0),
    ],
)
def test_frame_k_is_the_last_source_frame_shown_at_its_time(tmp_path, suffix, times, fps):
    levels = np.linspace(20, 235, len(times)).round()
    path = write_media(tmp_path / f"clip.{suffix}", [grey(int(x)) for x in levels], times)
    form = Form(fps, FORM.short_side, FORM.audio_rate, FORM.segment_seconds, FORM.jpeg_quality)
    seen = [image.mean() for image in images_of(path, form)]
    # It ends with the last source frame, whose duration depends on the container.
    assert times[-1] * fps - 1 <= len(seen) <= (times[-1] + 0.25) * fps + 1
    expected = levels[shown_at(times, [k / fps for k in range(len(seen))])]
    np.testing.assert_allclose(seen, expected, atol=3)


def test_a_video_that_begins_after_its_sound_shows_its_first_frame_until_then(tmp_path):
    levels = [40, 90, 140, 190]
    silence = np.zeros(16_000 * 2, np.float32)
    path = write_media(
        tmp_path / "late.mkv",
        [grey(level) for level in levels],
        [1.0, 1.2, 1.4, 1.6],
        sound=[(0.0, silence)],
    )
    seen = [image.mean() for image in images_of(path)][:17]
    np.testing.assert_allclose(seen, [40] * 12 + [90] * 2 + [140] * 2 + [190], atol=3)


# [a b; c d] of a track's matrix: a point (x, y) of the picture is shown at (ax + cy, bx + dy).
@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (1, 0, 0, 1)])
def test_turned_videos_are_upright(tmp_path, matrix):
    corners = np.zeros((48, 64, 3), np.uint8)
    corners[:24, :32], corners[:24, 32:] = 40, 100
    corners[24:, :32], corners[24:, 32:] = 160, 220
    path = write_media(tmp_path / "phone.mp4", [corners] * 5, [k / 10 for k in range(5)])
    _set_matrix(path, matrix)
    image = images_of(path)[0]
    turned = matrix[0] == 0
    assert image.shape == ((64, 48, 3) if turned else (48, 64, 3))
    a, b, c, d = matrix
    for x, y in ((-1, -1), (1, -1), (-1, 1), (1, 1)):  # corners, from the centre
        source = corners[12 if y < 0 else 36, 16 if x < 0 else 48].mean()
        to_x, to_y = a * x + c * y, b * x + d * y
        height, width = image.shape[:2]
        shown = image[height // 2 + to_y * height // 4, width // 2 + to_x * width // 4].mean()
        assert shown == pytest.approx(source, abs=4)


def _set_matrix(path, matrix):
    """Writes the matrix into the track header, as phones do; numbers are 16.16 fixed point."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    values = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    place = data.index(b"tkhd") + 4 + 40
    assert data[place : place + 4] == (1 << 16).to_bytes(4, "big")
    data[place : place + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("width", "height", "aspect", "short", "expected"),
    [
        (64, 48, None, 48, (64, 48)),
        (64, 48, None, 24, (32, 24)),
        (48, 64, None, 24, (24, 32)),
        (63, 47, None, 48, (64, 48)),  # the longer side becomes even
        (35, 35, None, 34, (34, 34)),
        (64, 64, Fraction(2, 1), 48, (96, 48)),
        (64, 64, Fraction(1, 2), 48, (32, 64)),
        (720 // 8, 576 // 8, Fraction(16, 15), 72, (96, 72)),  # PAL, an eighth of it
        (16, 16, None, 48, (16, 16)),  # not enlarged
    ],
)
def test_frames_have_square_pixels_and_the_short_side(
    tmp_path, width, height, aspect, short, expected
):
    odd = {"codec": "ffv1", "pix_fmt": "bgr0"} if width % 2 else {}  # h264 requires even sides
    path = write_media(
        tmp_path / "clip.mkv",
        [grey(99, width, height)] * 5,
        [k / 10 for k in range(5)],
        pixel_aspect=aspect,
        **odd,
    )
    image = images_of(path, Form(10.0, short, 16_000, 1000.0, 90))[0]
    assert image.shape[1::-1] == expected
    np.testing.assert_allclose(image, 99, atol=5)  # colour differences are rounded


def test_colours_stay(tmp_path):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 220, 30)]
    images = [np.broadcast_to(np.uint8(c), (48, 64, 3)).copy() for c in colours]
    path = write_media(tmp_path / "clip.mkv", images, [0, 0.1, 0.2, 0.3])
    for image, colour in zip(images_of(path), colours, strict=False):
        np.testing.assert_allclose(image.mean((0, 1)), colour, atol=5)


@pytest.mark.parametrize(
    ("frames", "lengths"),
    [
        (30, [3.0]),
        (40, [4.0]),
        (49, [4.9]),  # a rest of less than a second joins the previous segment
        (50, [4.0, 1.0]),
        (86, [4.0, 4.6]),
        (90, [4.0, 4.0, 1.0]),
        (125, [4.0, 4.0, 4.5]),
    ],
)
def test_segments_are_the_whole_video_in_pieces(tmp_path, frames, lengths):
    images = [grey(20 + k % 100 * 2) for k in range(frames)]
    path = write_media(tmp_path / "clip.mp4", images, [k / 10 for k in range(frames)])
    segments = list(read_segments(path, Form(10.0, 48, 16_000, 4.0, 95)))
    assert [s.index for s in segments] == list(range(len(lengths)))
    assert [s.start for s in segments] == pytest.approx(np.cumsum([0, *lengths[:-1]]))
    assert [s.end for s in segments] == pytest.approx(np.cumsum(lengths))
    assert [len(s.stored["frames"]) for s in segments] == [round(length * 10) for length in lengths]
    (whole,) = read_segments(path, FORM)
    assert [f for s in segments for f in s.stored["frames"]] == whole.stored["frames"]


@pytest.mark.parametrize("colourspace", [1, 5, 9])  # BT.709, BT.601, BT.2020
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_stay_whatever_matrix_and_range_a_source_has(tmp_path, colourspace, full_range):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 220, 30)]
    image = np.repeat(np.kron(np.uint8([colours]), np.ones((48, 1, 1), np.uint8)), 16, axis=1)
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
        context.colorspace, context.color_range = colourspace, 1 + full_range
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(
            format="yuv420p", dst_colorspace=colourspace, dst_color_range=1 + full_range
        )
        for _ in range(5):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = [images_of(path)[0], read_window(path, FORM, range(1), range(0))[0][0]]
    (segment,) = read_segments(path, dataclasses.replace(FORM, storage="mp4"))
    shown += from_mp4(segment.stored["video"], 0, 1)
    for pixels in shown:
        np.testing.assert_allclose(pixels[24, 8::16], colours, atol=8)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """8 s at 25 frames per second, with a key frame every 2 s, and sound that encodes its time."""
    images = [grey(20 + k, 64, 48) for k in range(200)]
    for k, image in enumerate(images):
        image[:, : 16 + 32 * (k % 2)] += 10
    sound = 0.5 * np.sin(2 * np.pi * (200 + 40 * np.arange(128_000) / 16_000) ** 1.1)
    path = tmp_path_factory.mktemp("long") / "clip.mkv"
    times = [k / 25 for k in range(200)]
    return write_media(path, images, times, fps=25, sound=[(0.0, sound.astype(np.float32))])


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 32), (13, 8), (47, 32), (72, 8)])
def test_a_window_of_any_storage_is_the_part_of_the_whole(long_clip, first, count):
    (whole,) = read_segments(long_clip, FORM)
    whole_images = np.stack(images_of(long_clip))[first : first + count]
    (stored,) = read_segments(long_clip, dataclasses.replace(FORM, storage="mp4"))
    assert stored.count == whole.count == 80
    assert (stored.height, stored.width) == (48, 64)
    part = slice(first * 1600, (first + count) * 1600)
    wanted = range(first, first + count), range(part.start, part.stop)
    frames, sound = read_window(long_clip, FORM, *wanted)
    np.testing.assert_allclose(np.stack(frames), whole_images, atol=6)
    np.testing.assert_allclose(
        np.stack(list(from_mp4(stored.stored["video"], first, count))), whole_images, atol=6
    )
    np.testing.assert_allclose(sound, whole.stored["audio"][part], atol=40)  # the resampler's start
    kept = from_flac(stored.stored["audio"], part.start, part.stop - part.start)
    np.testing.assert_array_equal(kept, whole.stored["audio"][part])


def test_a_window_over_the_end_has_fewer_frames_and_silence(long_clip):
    frames, sound = read_window(long_clip, FORM, range(76, 84), range(76 * 1600, 84 * 1600))
    assert len(frames) == 4
    assert not sound[4 * 1600 :].any()
    assert sound[: 4 * 1600].any()
    with pytest.raises(MediaError, match=r"has no frame at 20\.0 s"):
        read_window(long_clip, FORM, range(200, 208), range(0))


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (2.55, 4.3), (6.0, None), (3.0, 3.01)])
@pytest.mark.parametrize("seconds", [1000.0, 1.0])
def test_a_stretch_of_a_file_is_the_part_of_the_whole(long_clip, start, end, seconds):
    (whole,) = read_segments(long_clip, FORM)
    form = dataclasses.replace(FORM, segment_seconds=seconds)
    segments = list(read_segments(long_clip, form, span=Span(start, end)))
    first = round(start * 10)
    last = 80 if end is None else max(first + 1, round(end * 10))
    assert segments[0].start == pytest.approx(first / 10)
    assert segments[-1].end == pytest.approx(last / 10)
    assert [f for s in segments for f in s.stored["frames"]] == whole.stored["frames"][first:last]
    heard = np.concatenate([s.stored["audio"] for s in segments])
    np.testing.assert_allclose(heard, whole.stored["audio"][first * 1600 : last * 1600], atol=40)


def test_a_stretch_behind_the_end_is_refused(long_clip):
    with pytest.raises(MediaError, match=r"has no frame at 20\.0 s"):
        list(read_segments(long_clip, FORM, span=Span(20.0, 21.0)))
    (segment,) = read_segments(long_clip, FORM, span=Span(7.0, 60.0))
    assert segment.end == 8.0
