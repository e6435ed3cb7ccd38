"""Kinetics-400: both layouts, every spelling of the splits, damaged csv files."""

import pytest
from dummy_data import table, text

from vatt_gh.errors import UserError
from vatt_gh.media.downstream.kinetics400 import list_clips

HEADER = "label,youtube_id,time_start,time_end,split"


def content(listing):
    return {(clip.id, clip.labels, clip.splits) for clip in listing.clips}


@pytest.mark.parametrize("name", ["kinetics400", "kinetics400_cvdf"])
def test_both_layouts_say_the_same(pristine, name):
    listing = list_clips(pristine(name))
    assert listing.class_names == ["abseiling", "playing harmonica"]
    assert content(listing) == {
        ("-0RWZT-miFs_000010_000020", (1,), ("train",)),
        ("_zLzFtLN1gA_000000_000010", (0,), ("train",)),
        ("dQw4w9WgXcQ_000110_000120", (0,), ("validate",)),
        ("Yabcdefghi__000003_000013", (1,), ("test",)),
    }
    # The file is the clip: the times are those of the video on YouTube.
    assert {(clip.start, clip.end) for clip in listing.clips} == {(None, None)}


def test_one_csv_file_under_any_name_beside_other_tables(copied):
    directory = copied("kinetics400")
    before = list_clips(directory)
    lines = []
    for path in sorted((directory / "annotations").glob("*.csv")):
        header, *rows = path.read_text().splitlines()
        lines += rows
        path.unlink()
    text(directory / "kinetics.csv", header, *lines)
    table(directory / "other.csv", "youtube_id,views", [("dQw4w9WgXcQ", 3)])
    text(directory / "empty.csv")
    (directory / "binary.csv").write_bytes(bytes(range(256)) * 100)
    assert list_clips(directory) == before


def test_labels_with_underscores_and_a_test_set_without_labels(copied):
    directory = copied("kinetics400_cvdf")
    path = directory / "annotations" / "train.csv"
    path.write_text(path.read_text().replace("playing harmonica", "playing_harmonica"))
    header = "youtube_id,time_start,time_end,split"
    table(directory / "annotations" / "test.csv", header, [("Yabcdefghi_", "3.0", "13.0", "test")])
    listing = list_clips(directory)
    assert listing.class_names == ["abseiling", "playing harmonica"]
    clips = {clip.id: clip for clip in listing.clips}
    assert clips["-0RWZT-miFs_000010_000020"].labels == (1,)
    assert clips["Yabcdefghi__000003_000013"].labels == ()
    assert listing.skipped == []


def test_damaged_rows(copied):
    directory = copied("kinetics400")
    before = list_clips(directory)
    rows = [
        ("abseiling", "-0RWZT-miFs", 10, 20, "test"),  # is in train
        ("abseiling", "dQw4w9WgXcQ", "", 20, "train"),
        ("abseiling", "dQw4w9WgXcQ", "inf", 20, "train"),
        ("abseiling", "dQw4w9WgXcQ", 10, 20, "held out"),
        ("abseiling",),
        ("abseiling", "dQw4w9WgXcQ", 10, 20, "train"),  # another piece of a video
    ]
    table(directory / "more.csv", HEADER, rows)
    after = list_clips(directory)
    assert content(after) == content(before)
    assert [(row["id"], row["reason"][:25]) for row in after.skipped] == [
        ("-0RWZT-miFs_000010_000020", "is listed again: abseilin"),
        ("dQw4w9WgXcQ", "has no usable times or sp"),
        ("dQw4w9WgXcQ", "has no usable times or sp"),
        ("dQw4w9WgXcQ", "has no usable times or sp"),
        ("", "has no usable times or sp"),
        ("dQw4w9WgXcQ_000010_000020", "has no media file"),
    ]


def test_tables_without_the_columns_are_no_annotations(copied):
    directory = copied("kinetics400")
    for path in (directory / "annotations").glob("*.csv"):
        path.write_text(path.read_text().replace("time_start", "begin"))
    with pytest.raises(UserError, match="annotation files are missing"):
        list_clips(directory)
