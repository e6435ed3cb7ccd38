"""Lists of stretches that are trained on, or left out."""

import dataclasses

import numpy as np
import pytest

from vatt_gh import batch as names
from vatt_gh.data.kept import kept_windows
from vatt_gh.data.pipeline import training_batches
from vatt_gh.data.selection import Stretches, read_selection
from vatt_gh.errors import UserError


def written(path, text):
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("seed", range(6))
def test_a_time_is_held_if_any_stretch_holds_it(seed):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(int(rng.integers(0, 12))):
        start = float(rng.integers(0, 20))
        video, modality = rng.choice(["a", "b"]), rng.choice(["", "text", "audio", "video"])
        rows.append((str(video), start, start + float(rng.integers(1, 8)), str(modality)))
    times = np.arange(0, 30, 0.5)
    stretches = Stretches(rows)
    for video in ("a", "b", "c"):
        for modality in ("text", "audio", "video"):
            expected = [
                any(v == video and m in ("", modality) and s <= t < e for v, s, e, m in rows)
                for t in times
            ]
            assert stretches.holds(video, modality, times).tolist() == expected


def samples(clock, config, selection):
    """Some training samples, with and without a selection."""
    source = dataclasses.replace(clock.source, selection=selection)
    batches = training_batches([source], clock.tokenizer, config, position=0, host=0, hosts=1)
    found = []
    for _ in range(6):
        arrays, host = next(batches)
        found += [{n: x[k] for n, x in (arrays | host).items()} for k in range(len(host["start"]))]
    batches.close()
    return found


def test_training_samples_lack_what_is_left_out(clock, clock_config, tmp_path):
    clock_config.data.caption_reach = 3.0
    rows = "video_id,start,end,modality\nwhole,2,6,audio\nwhole,3,9,text\nsilent,,,video\n"
    selection = read_selection("", written(tmp_path / "bad.csv", rows))
    plain = samples(clock, clock_config, None)
    cleaned = samples(clock, clock_config, selection)
    middles = {word: (low + high) / 2 for word, low, high in clock.captions}
    changed = {name: 0 for name in (names.AUDIO_MASK, names.TEXT, names.VIDEO_MASK)}
    for mine, before in zip(cleaned, plain, strict=True):
        video, middle = before["video_id"].decode(), (before["start"] + before["end"]) / 2
        for name in (names.VIDEO, names.AUDIO, "start", "end"):
            np.testing.assert_array_equal(mine[name], before[name])
        heard = before[names.AUDIO_MASK] and not (video == "whole" and 2 <= middle < 6)
        assert mine[names.AUDIO_MASK] == heard
        assert mine[names.VIDEO_MASK] == (before[names.VIDEO_MASK] and video != "silent")
        said = {clock.vocabulary[row[0]] for row in mine[names.TEXT] if row[0]}
        if video == "whole":
            assert not {w for w in said if 3 <= middles[w] < 9}
            assert mine[names.TEXT_MASK] == bool(said)
        else:
            np.testing.assert_array_equal(mine[names.TEXT], before[names.TEXT])
        for name in changed:
            changed[name] += not np.array_equal(mine[name], before[name])
    assert all(changed.values())


def test_nothing_but_the_listed_stretches_is_used(clock, clock_config, tmp_path):
    selection = read_selection(
        written(tmp_path / "good.csv", "video_id,start,end\nwhole,1,4\n"), ""
    )
    kept = 0
    for sample in samples(clock, clock_config, selection):
        middle = (sample["start"] + sample["end"]) / 2
        mine = sample["video_id"] == b"whole" and 1 <= middle < 4
        assert sample[names.VIDEO_MASK] == mine
        kept += mine
    assert kept > 0


def test_kept_windows_of_another_selection_are_others(clock, clock_config, tmp_path):
    clock_config.data.keep_windows = True
    stores = []
    for text in ("video_id\nwhole\n", "video_id\nsilent\n"):
        selection = read_selection("", written(tmp_path / "list.csv", text))
        source = dataclasses.replace(clock.source, selection=selection)
        stores.append(kept_windows(source, clock.tokenizer, clock_config.data))
    every = [store.rows(np.arange(store.count)) for store in stores]
    for rows, video in zip(every, (b"whole", b"silent"), strict=True):
        np.testing.assert_array_equal(rows[names.VIDEO_MASK], rows[names.VIDEO_ID] != video)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "columns are"),
        ("id,start\nx,1\n", "columns are id, start"),
        ("video_id,begin\nx,1\n", "columns are"),
        ("video_id\n", "no row"),
        ("video_id,start,end\nx,5,3\n", "line 2.*cannot be used|cannot be used.*line 2"),
        ("video_id,start,end\nx,1,2\nx,nan,3\n", "line 3"),
        ("video_id,start,end\nx,-1,3\n", "line 2"),
        ("video_id,start,end\nx,one,3\n", "not a number"),
        ("video_id,start,end,modality\nx,1,3,sound\n", "cannot be used"),
        ("video_id\n,\n", "more values"),
        ("video_id,start\n,1\n", "cannot be used"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, text, what):
    path = written(tmp_path / "list.csv", text)
    with pytest.raises(UserError, match=f"(?s){what}") as raised:
        read_selection(path, "")
    assert path in str(raised.value)


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_selection("", str(tmp_path / "gone.csv"))


def test_no_list_is_no_selection():
    assert read_selection("", "") is None
