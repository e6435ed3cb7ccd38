"""Clips for evaluation: one caption each, with the window around it."""

import numpy as np
import pytest

from vatt_gh.data.clips import captioned_clips


def all_clips(clock, config, size=4, **options):
    """Every clip's arrays as a dictionary, and the sizes of the batches."""
    batches = list(
        captioned_clips(clock.source, clock.tokenizer, config.data, size=size, **options)
    )
    sizes = [len(batch["start"]) for batch in batches]
    clips = [{name: x[k] for name, x in b.items()} for b in batches for k in range(len(b["start"]))]
    return clips, sizes


def test_every_clip_shows_its_caption_s_time(clock, clock_config):
    clips, sizes = all_clips(clock, clock_config)
    middles = {word: (low + high) / 2 for word, low, high in clock.captions}
    # Captions are 1 s apart, windows 0.4 s long: all captions of both captioned videos.
    said = sorted((clip["video_id"], clip["caption"]) for clip in clips)
    expected = [(v, word.encode()) for v in (b"silent", b"whole") for word in middles]
    # The last caption's middle is at the video's very end, 12.5 s.
    assert said == sorted(expected)
    assert sizes == [4] * (len(clips) // 4) + [len(clips) % 4] * (len(clips) % 4 > 0)
    for clip in clips:
        word = clip["caption"].decode()
        assert clip["text"].shape == (1, 3)
        assert clock.vocabulary[clip["text"][0, 0]] == word
        start = clock.numbers_of(clip["video"])[0] / clock.fps
        assert clip["start"] == pytest.approx(start, abs=1e-5)
        middle = (clip["start"] + clip["end"]) / 2
        # Moved by at most half a window at a segment's border, else half a frame.
        border = any(abs(clip[k] - t) < 1e-4 for k in ("start", "end") for t in (0, 4, 8, 12.5))
        assert abs(middle - middles[word]) <= (0.2 if border else 0.05) + 1e-5
        assert clip["audio_mask"] == (clip["video_id"] == b"whole")
        if clip["audio_mask"]:
            heard = clock.sound_at(start + np.arange(len(clip["audio"])) / clock.rate)
            np.testing.assert_allclose(clip["audio"], heard, atol=1e-3)


def test_windows_do_not_overlap_and_the_first_caption_wins(clock, clock_config):
    clock_config.data.frames = 16  # 1.6 s: every window holds more than one caption
    clips, _ = all_clips(clock, clock_config)
    by_segment = {}
    for clip in clips:
        segment = clip["video_id"], min(int(clip["start"] / 4 + 1e-6), 2)
        by_segment.setdefault(segment, []).append(clip)
    assert len(by_segment) == 6
    for (_, number), inside in by_segment.items():
        ends = [float(clip["end"]) for clip in inside]
        starts = [float(clip["start"]) for clip in inside]
        assert all(end <= start + 1e-5 for end, start in zip(ends, starts[1:], strict=False))
        # The first caption of a segment, and then the first one with a free window.
        first = 4 * number
        assert [clip["caption"] for clip in inside][:2] == [
            f"second{first}".encode(),
            f"second{first + 2}".encode(),
        ]


def test_each_caption_has_its_clip_where_windows_may_overlap(clock, clock_config):
    clock_config.data.frames = 16  # 1.6 s
    clips, _ = all_clips(clock, clock_config, overlapping=True)
    said = sorted((clip["video_id"], clip["caption"].decode()) for clip in clips)
    assert said == sorted((v, word) for v in (b"silent", b"whole") for word, *_ in clock.captions)
    assert [int(clip["number"]) for clip in clips] == list(range(len(clips)))
    times = {word: ends for word, *ends in clock.captions}
    for clip in clips:
        word = clip["caption"].decode()
        own = clip["caption_start"], clip["caption_end"]
        np.testing.assert_allclose(own, times[word], atol=1e-5)
        assert clock.vocabulary[clip["text"][0, 0]] == word
        # The window lies around it, moved by its half at most.
        assert abs((clip["start"] + clip["end"]) / 2 - np.mean(times[word])) <= 0.8 + 0.05 + 1e-5
    alone, _ = all_clips(clock, clock_config)
    by_place = {(c["video_id"], float(c["start"]), c["caption"]): c for c in clips}
    for clip in alone:
        same = by_place[clip["video_id"], float(clip["start"]), clip["caption"]]
        for name in clip.keys() - {"number"}:
            np.testing.assert_array_equal(clip[name], same[name])
    assert len(alone) < len(clips)


def test_no_more_clips_than_asked_for(clock, clock_config):
    every, _ = all_clips(clock, clock_config)
    some, sizes = all_clips(clock, clock_config, size=3, most=5)
    assert sizes == [3, 2]
    for clip, expected in zip(some, every, strict=False):
        for name in clip:
            np.testing.assert_array_equal(clip[name], expected[name])


def test_clips_are_the_same_whatever_the_augmentation_of_training(clock, clock_config):
    plain, _ = all_clips(clock, clock_config)
    clock_config.data.augmentation = "inception"
    clock_config.seed = 9
    again, _ = all_clips(clock, clock_config)
    for clip, expected in zip(again, plain, strict=True):
        for name in clip:
            np.testing.assert_array_equal(clip[name], expected[name])
    assert clock_config.data.candidates == 2  # the caller's configuration is unchanged


def test_a_random_order_has_every_clip_once(clock, clock_config):
    every, _ = all_clips(clock, clock_config)
    mixed, _ = all_clips(clock, clock_config, order=3)
    numbers = [int(clip["number"]) for clip in mixed]
    assert sorted(numbers) == [int(clip["number"]) for clip in every] != numbers
    assert [int(c["number"]) for c in all_clips(clock, clock_config, order=3)[0]] == numbers
    assert [int(c["number"]) for c in all_clips(clock, clock_config, order=4)[0]] != numbers
    for clip in mixed:
        for name, value in every[clip["number"]].items():
            np.testing.assert_array_equal(clip[name], value)


def test_chosen_clips_alone_are_read(clock, clock_config):
    every, _ = all_clips(clock, clock_config)
    some, sizes = all_clips(clock, clock_config, numbers=[20, 3, 4])
    assert sizes == [3]
    for clip, number in zip(some, (3, 4, 20), strict=True):
        for name, value in every[number].items():
            np.testing.assert_array_equal(clip[name], value)
