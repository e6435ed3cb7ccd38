"""Several data sets in turn, and windows with a frame rate other than the records'."""

from collections import Counter

import numpy as np
import pytest
from streams import batches

from vatt_gh import batch as names
from vatt_gh.data.clips import captioned_clips
from vatt_gh.data.sources import open_sources
from vatt_gh.errors import UserError


def test_data_sets_take_turns_and_each_has_epochs_of_its_own(clock, clock_config):
    clock_config.data.windows_per_segment = 1
    sources = [clock.source, clock.wordless]
    seen = [Counter(), Counter()]
    for device, host in batches(
        sources, clock, clock_config, 6
    ):  # 9 and 3 records, 18 samples of each
        for k in range(6):
            turn = k % 2
            segment = min(int(host[names.START][k] / 4 + 1e-6), 2)
            seen[turn][host[names.VIDEO_ID][k], segment] += 1
            if turn:
                assert not device[names.TEXT_MASK][k]
                assert not device[names.TEXT][k].any()
    assert set(seen[0].values()) == {2}
    assert len(seen[0]) == 9
    assert set(seen[1].values()) == {6}
    assert len(seen[1]) == 3


def test_a_position_decides_what_a_mixture_gives(clock, clock_config):
    clock_config.data.augmentation = "inception"
    sources = [clock.source, clock.others["mp4"], clock.wordless]
    whole = batches(sources, clock, clock_config, 4)
    again = batches(sources, clock, clock_config, 2, position=2 * 6)
    for pair, other in zip(again, whole[2:], strict=True):
        for arrays, expected in zip(pair, other, strict=True):
            for name in arrays:
                np.testing.assert_array_equal(arrays[name], expected[name], name)


@pytest.mark.parametrize("fps", [5.0, 4.0, 10.0, 20.0])
def test_a_window_shows_what_is_on_screen_at_its_own_rate(clock, clock_config, fps):
    data = clock_config.data
    data.fps, data.frames = fps, 8
    seconds = 8 / fps
    data.audio_samples = round(clock.rate * seconds)
    for device, host in batches([clock.source], clock, clock_config, 4):
        for k in range(6):
            start = float(host[names.START][k])
            assert host[names.END][k] == pytest.approx(start + seconds, abs=1e-5)
            moments = start + np.arange(8) / fps
            expected = np.floor(moments * clock.fps + 1e-3)
            np.testing.assert_array_equal(clock.numbers_of(device[names.VIDEO][k]), expected)
            if host[names.VIDEO_ID][k] != b"silent":
                start = expected[0] / clock.fps  # not rounded to float32
                heard = clock.sound_at(start + np.arange(data.audio_samples) / clock.rate)
                np.testing.assert_allclose(device[names.AUDIO][k], heard, atol=1e-3)


def test_evaluation_windows_have_that_rate_too(clock, clock_config):
    clock_config.data.fps = 5.0
    for clips in captioned_clips(clock.source, clock.tokenizer, clock_config.data, size=4):
        first = clock.numbers_of(clips[names.VIDEO])[:, 0]
        np.testing.assert_allclose(clips[names.START], first / clock.fps, atol=1e-5)
        shown = clock.numbers_of(clips[names.VIDEO])
        np.testing.assert_array_equal(shown, first[:, None] + 2 * np.arange(4))
        np.testing.assert_allclose(clips[names.END] - clips[names.START], 0.8, atol=1e-5)


def test_the_configuration_names_the_data_sets(clock, clock_config, tmp_path):
    data = clock_config.data
    data.data_dir = str(clock.source.directories[0].parents[2])
    other = clock.wordless.directories[0].parents[2]
    data.also = (f"howto100m={other}",)
    first, second = open_sources(clock_config.data)
    assert (first.count, second.count) == (9, 3)
    data.also = (f"howto100m/train={other}",)
    assert open_sources(clock_config.data)[1].count == 3
    data.also = (f"howto100m/eval={other}",)
    with pytest.raises(UserError, match="There is no split 'eval'"):
        open_sources(clock_config.data)
    data.also = (f"howto100m={tmp_path}",)
    with pytest.raises(UserError, match="There are no howto100m records"):
        open_sources(clock_config.data)
