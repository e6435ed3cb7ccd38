"""Builds of the records that a list of stretches uses, against whole builds and against points."""

import dataclasses
import math

import numpy as np
import pytest

from tfds_builders.build import build, build_for, main
from tfds_builders.parts import Settings
from vatt_gh.batch import MODALITIES
from vatt_gh.config import default
from vatt_gh.data.selection import Selection, Stretches, read_selection
from vatt_gh.data.sources import find_or_build
from vatt_gh.errors import UserError


def drawn_list(rng):
    """Some stretches with ends among few numbers, so that many touch; or None."""
    count = rng.integers(0, 5)
    rows = []
    for _ in range(count):
        start, end = sorted(rng.choice(9, 2, replace=False))
        last = math.inf if rng.random() < 0.2 else float(end)
        modality = rng.choice(["", *MODALITIES])
        rows.append((str(rng.choice(["a", "b"])), float(start), last, str(modality)))
    return Stretches(rows) if rows else None


@pytest.mark.parametrize("seed", range(60))
def test_a_stretch_is_used_if_one_of_its_times_is(seed):
    rng = np.random.default_rng(seed)
    selection = Selection(drawn_list(rng), drawn_list(rng), "")
    for _ in range(20):
        start, end = sorted(rng.choice(np.arange(0, 10, 0.5), 2, replace=False))
        times = np.arange(start, end, 0.25)
        expected = any(selection.allows("a", modality, times).any() for modality in MODALITIES)
        assert selection.uses("a", start, end) == expected
    assert selection.uses("a", 0.0, math.inf) == any(
        selection.allows("a", modality, np.arange(0, 12, 0.25)).any() for modality in MODALITIES
    )


def keyed(records):
    return {(x["video_id"], float(x["start"])): x for x in records}


def used(records, selection):
    return {
        (video, start): record
        for (video, start), record in keyed(records).items()
        if selection.uses(video.decode(), start, float(record["end"]))
    }


@pytest.fixture
def lists(tmp_path, small_records, reading):
    """A list with one stretch of one video, and one of a whole other video."""
    records = reading.tfds(small_records)
    last = max(records, key=lambda x: x["start"])
    videos = sorted({x["video_id"].decode() for x in records} - {last["video_id"].decode()})
    only, without = tmp_path / "only.csv", tmp_path / "without.csv"
    middle = (last["start"] + last["end"]) / 2
    only.write_text(f"video_id,start,end\n{last['video_id'].decode()},{middle},{middle + 0.1}\n")
    without.write_text(f"video_id\n{videos[0]}\n")
    return {"only": str(only), "without": str(without)}


@pytest.mark.parametrize("name", ["only", "without"])
def test_the_records_of_a_list_are_those_of_a_whole_build(
    small_corpus, small_form, small_records, reading, lists, tmp_path, name, capsys
):
    paths = {"only": "", "without": "", name: lists[name]}
    options = [f"--{key}={value}" for key, value in dataclasses.asdict(small_form).items()]
    places = [f"--manual_dir={small_corpus}", f"--data_dir={tmp_path / 'records'}"]
    assert main(["howto100m", *places, *options, f"--{name}={lists[name]}"]) == 0
    *_, summary, folder = capsys.readouterr().out.splitlines()
    selection = read_selection(**paths)
    whole = reading.tfds(small_records)
    expected = used(whole, selection)
    found = keyed(reading.tfds(folder))
    assert 0 < len(expected) < len(whole) and found.keys() == expected.keys()
    reading.assert_same([found[key] for key in expected], list(expected.values()))
    videos = len({video for video, _ in expected})
    assert summary.startswith(f"howto100m: {videos} videos, {len(expected)} segments, ")


def test_records_of_a_list_say_so_and_no_other_list_adds_to_them(
    small_corpus, small_form, lists, tmp_path, capsys
):
    given = {"manual_dir": small_corpus, "data_dir": tmp_path / "records", "form": small_form}
    selection = read_selection(lists["only"], "")
    first = build("howto100m", **given, selection=selection)
    assert build("howto100m", **given, selection=selection) == first
    for other in (None, read_selection("", lists["without"])):
        with pytest.raises(UserError, match="selection: there"):
            build("howto100m", **given, selection=other)
    capsys.readouterr()
    data = default().data
    data.data_dir = str(tmp_path / "records")
    assert find_or_build(data, build_for) == first
    assert "built with --only or --without" in capsys.readouterr().out


def test_a_list_of_other_videos_is_refused(small_corpus, small_form, tmp_path):
    (tmp_path / "list.csv").write_text("video_id\nnobody\n")
    selection = read_selection(str(tmp_path / "list.csv"), "")
    with pytest.raises(UserError, match="use none of the videos"):
        build(
            "howto100m",
            manual_dir=small_corpus,
            data_dir=tmp_path / "records",
            form=small_form,
            selection=selection,
        )
    assert not list((tmp_path / "records").glob("howto100m/*/*"))


def test_a_list_that_leaves_out_every_record_is_refused(small_corpus, small_form, tmp_path):
    (tmp_path / "list.csv").write_text(
        "video_id,start,end\n"
        + "".join(f"{path.stem},1000,1001\n" for path in (small_corpus / "videos").glob("*.mp4"))
    )
    data_dir = tmp_path / "records"
    with pytest.raises(UserError, match="use none of the videos"):
        build(
            "howto100m",
            manual_dir=small_corpus,
            data_dir=data_dir,
            form=small_form,
            selection=read_selection(str(tmp_path / "list.csv"), ""),
        )
    assert not list(data_dir.glob("howto100m/*/*/dataset_info.json"))


def test_parts_of_a_list_are_those_of_a_whole_build(
    small_corpus, small_form, small_records, reading, lists, tmp_path
):
    """Built in two calls; a third with other lists, and a training, add nothing."""
    given = {"manual_dir": small_corpus, "data_dir": tmp_path / "records", "form": small_form}
    selection = read_selection("", lists["without"])
    build("howto100m", **given, settings=Settings(parts=2, part=1), selection=selection)
    data = default().data
    data.data_dir, data.manual_dir = str(tmp_path / "records"), str(small_corpus)
    assert len(find_or_build(data, lambda _: pytest.fail("it builds"))) == 1
    with pytest.raises(UserError, match="selection: there"):
        build("howto100m", **given, settings=Settings(parts=2))
    folders = build("howto100m", **given, settings=Settings(parts=2), selection=selection)
    found = keyed([x for folder in folders for x in reading.tfds(folder)])
    expected = used(reading.tfds(small_records), selection)
    assert found.keys() == expected.keys()
    reading.assert_same([found[key] for key in expected], list(expected.values()))
