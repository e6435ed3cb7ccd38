"""Incomplete videos are rejected with a reason, and never partly read without notice."""

import pickle
import re

import numpy as np
import pytest
from media_files import tone, write_media

from vatt_gh.media.form import Form, MediaError
from vatt_gh.media.video import read_segments

FORM = Form(fps=10.0, short_side=16, audio_rate=16_000, segment_seconds=2.0, jpeg_quality=50)


def noise(seconds):
    """Incompressible pictures, so that half of a file is half of its time."""
    rng = np.random.default_rng(0)
    count = round(seconds * 10)
    images = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(count)]
    return {"images": images, "times": [k / 10 for k in range(count)]}


def reason_of(path):
    with pytest.raises(MediaError) as caught:
        list(read_segments(path, FORM))
    assert caught.value.path == str(path)
    return caught.value.reason


@pytest.mark.parametrize(
    ("suffix", "options", "reason"),
    [
        ("mp4", {}, "cannot be decoded"),  # the table of contents is at the end
        ("mp4", {"movflags": "+faststart"}, "is damaged|is truncated"),
        ("mkv", {}, "is truncated: [0-9.]+ of 6.0 s"),
    ],
)
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_truncated_files(tmp_path, suffix, options, reason, share):
    path = write_media(tmp_path / f"cut.{suffix}", **noise(6), options=options)
    assert len(list(read_segments(path, FORM))) == 3
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert re.match(reason, reason_of(path))


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.mp4"
    path.write_bytes(b"")
    assert reason_of(path).startswith("cannot be decoded")


@pytest.mark.parametrize("content", [b"<html>404 not found</html>" * 40, bytes(range(256)) * 64])
def test_something_else_under_a_video_s_name(tmp_path, content):
    path = tmp_path / "page.mp4"
    path.write_bytes(content)
    assert reason_of(path).startswith("cannot be decoded")


def test_a_missing_file(tmp_path):
    assert "No such file" in reason_of(tmp_path / "gone.mp4")


def test_sound_without_pictures(tmp_path):
    path = write_media(tmp_path / "sound.mkv", sound=[(0.0, tone(1, 16_000))])
    assert reason_of(path) == "has no video stream"


def test_the_error_crosses_process_borders():
    error = pickle.loads(pickle.dumps(MediaError("a/b.mp4", "is truncated")))
    assert (error.path, error.reason, str(error)) == (
        "a/b.mp4",
        "is truncated",
        "a/b.mp4: is truncated",
    )
