"""Decoding in processes: in order, and a failure affects only its own video."""

import dataclasses
import time

import numpy as np
import pytest
from deadly import DeadlyPath
from media_files import grey, tone, write_media

from vatt_gh.media.decoding import Decoded, decode_all
from vatt_gh.media.form import WHOLE, Segment
from vatt_gh.media.video import read_segments
from vatt_gh.media.workers import Limits


@pytest.fixture(scope="module")
def videos(messy_corpus):
    """(id, path): broken ones between good ones."""
    paths = {path.stem: path for path in (messy_corpus / "videos").iterdir()}
    broken = ["truncated00", "zerobytes00"]
    good = sorted(paths.keys() - set(broken))
    names = [good[0], broken[0], *good[1:3], broken[1], *good[3:]]
    return [(name, paths[name]) for name in names]


def check(decoded, video, path, form):
    """Asserts that a video's items are its summary, and then its segments."""
    first, *segments = decoded
    expected = list(read_segments(path, form))
    assert all(isinstance(segment, Segment) for segment in segments)
    assert [s.stored["frames"] for s in segments] == [s.stored["frames"] for s in expected]
    has_audio = len(expected[-1].stored["audio"]) > 0
    assert first == Decoded(video, len(expected), expected[-1].end, has_audio, None)


def whole(videos):
    """Each file as a whole."""
    return [(name, path, WHOLE) for name, path in videos]


def grouped(items):
    """[(id, items)] in order; every video must end before the next begins."""
    groups = []
    for video, item in items:
        if isinstance(item, Decoded):
            groups.append((video, []))
        assert groups[-1][0] == video
        groups[-1][1].append(item)
    return groups


@pytest.mark.parametrize("workers", [1, 2])
def test_videos_come_in_their_order_and_broken_ones_with_a_reason(
    videos, small_form, tmp_path, workers
):
    items = decode_all(
        whole(videos), form=small_form, workers=workers, spool_dir=tmp_path, limits=Limits()
    )
    groups = grouped(items)
    assert [video for video, _ in groups] == [video for video, _ in videos]
    for (video, decoded), (_, path) in zip(groups, videos, strict=True):
        if video in ("truncated00", "zerobytes00"):
            (end,) = decoded  # no segment, not even those before the break
            assert end.error.startswith("cannot be decoded")
        else:
            check(decoded, video, path, small_form)
    assert list(tmp_path.iterdir()) == []


def test_a_decoder_that_dies_costs_its_video_alone(videos, small_form, tmp_path):
    good = [item for item in videos if item[0] not in ("truncated00", "zerobytes00")]
    gate = tmp_path / "gate"
    row = [good[0], ("deadly", DeadlyPath(gate)), *good[1:], ("deadlier", DeadlyPath(gate))]
    items = decode_all(whole(row), form=small_form, workers=2, spool_dir=tmp_path, limits=Limits())
    first = next(items)
    # The first video is decoded; now a process dies while nothing waits for it.
    gate.touch()
    time.sleep(1.0)
    groups = grouped([first, *items])
    assert [video for video, _ in groups] == [video for video, _ in row]
    for (video, decoded), (_, path) in zip(groups, row, strict=True):
        if video.startswith("deadl"):
            assert decoded == [Decoded(video, 0, 0.0, False, "its decoder process died")]
        else:
            check(decoded, video, path, small_form)


def test_stopping_early_leaves_no_spool(videos, small_form, tmp_path):
    items = decode_all(
        whole(videos), form=small_form, workers=1, spool_dir=tmp_path, limits=Limits()
    )
    next(items)
    assert list(tmp_path.iterdir()) != []
    items.close()
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_takes_too_long_is_given_up_alone(videos, small_form, tmp_path):
    good = [item for item in videos if item[0] not in ("truncated00", "zerobytes00")]
    # It waits for its gate, which never opens.
    row = [good[0], ("hanging", DeadlyPath(tmp_path / "gate")), *good[1:]]
    limits = Limits(seconds=4.0)
    spool = tmp_path / "spool"
    spool.mkdir()
    items = decode_all(whole(row), form=small_form, workers=2, spool_dir=spool, limits=limits)
    groups = grouped(items)
    assert [video for video, _ in groups] == [video for video, _ in row]
    assert groups[1][1] == [Decoded("hanging", 0, 0.0, False, "took longer than 4 s to decode")]
    for (video, decoded), (_, path) in zip(groups, row, strict=True):
        if video != "hanging":
            check(decoded, video, path, small_form)


def test_a_video_that_needs_too_much_memory_is_given_up_alone(videos, small_form, tmp_path):
    good = videos[0]
    huge = write_media(tmp_path / "huge.mkv", [grey(9, 8000, 8000)] * 3, [0, 0.1, 0.2])
    limits = Limits(gigabytes=0.25)
    row = [good, ("huge", huge), good]
    items = decode_all(whole(row), form=small_form, workers=1, spool_dir=None, limits=limits)
    (first, second, third) = grouped(items)
    check(first[1], *good, small_form)
    check(third[1], *good, small_form)
    (end,) = second[1]
    assert end.error is not None  # the message depends on the decoder


@pytest.mark.parametrize("storage", ["jpeg", "mp4", "index"])
def test_sound_that_is_none_is_left_out_and_its_video_kept(small_form, tmp_path, storage):
    form = dataclasses.replace(small_form, storage=storage)
    pictures = [grey(40 + k, 64, 48) for k in range(50)], [k / 10 for k in range(50)]
    row = []
    for name, level in (("hum", 0.25), ("tone", None)):
        sound = tone(5, 16_000) if level is None else np.full(80_000, level, np.float32)
        row.append((name, write_media(tmp_path / f"{name}.mkv", *pictures, sound=[(0.0, sound)])))
    items = decode_all(whole(row), form=form, workers=1, spool_dir=None, limits=Limits())
    hum, heard = (decoded for _, decoded in grouped(items))
    reason = "its sound is constant and was left out"
    assert hum[0] == Decoded("hum", 2, 5.0, False, None, [reason])
    assert heard[0] == Decoded("tone", 2, 5.0, True, None)
    for segment in hum[1:]:
        assert not segment.has_audio and not len(segment.stored.get("audio", b""))
        assert segment.count > 0
    assert all(segment.has_audio for segment in heard[1:])
