"""HMDB51: official splits with unused clips, odd names, damaged lists."""

import pytest

from vatt_gh.errors import UserError
from vatt_gh.media.downstream.hmdb51 import list_clips


def splits(listing):
    return {clip.id: clip.splits for clip in listing.clips}


def test_the_official_splits(pristine):
    # The lists of split 1 have 1, 2, 0 for the three clips of a class, and so on in turn.
    assert splits(list_clips(pristine("hmdb51"))) == {
        "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0": ("train1", "test2"),
        "brush_hair/[Rom] & #1; (x)_brush_hair_1": ("test1", "train3"),
        "brush_hair/c": ("train2", "test3"),
        "kick_ball/-kick_ball_0": ("train1", "test2"),
        "kick_ball/kick_ball_1": ("test1", "train3"),
        "kick_ball/c": ("train2", "test3"),
    }


def test_labels_are_those_of_the_list_and_names_may_repeat(pristine):
    directory = pristine("hmdb51")
    listing = list_clips(directory)
    assert listing.class_names == ["brush_hair", "kick_ball"]
    clips = {clip.id: clip for clip in listing.clips}
    for label, name in enumerate(listing.class_names):
        assert clips[f"{name}/c"].labels == (label,)
        assert clips[f"{name}/c"].path == directory / name / "c.avi"


def test_a_clip_that_no_split_uses_is_listed(copied):
    directory = copied("hmdb51")
    for path in (directory / "testTrainMulti_7030_splits").glob("kick_ball_*"):
        path.write_text("kick_ball_1.avi 0\n-kick_ball_0.avi 1\nc.avi 2\n")
    listing = list_clips(directory)
    assert splits(listing)["kick_ball/kick_ball_1"] == ()
    assert splits(listing)["kick_ball/c"] == ("test1", "test2", "test3")


def test_folders_within_folders_and_other_suffixes(copied):
    # The layout from unpacking the inner archives.
    directory = copied("hmdb51")
    before = list_clips(directory)
    for name in before.class_names:
        (directory / "x" / name).mkdir(parents=True)
        (directory / name).rename(directory / "x" / name / name)
    for path in list((directory / "x").rglob("*.avi")):
        path.rename(path.with_suffix(".mkv"))
    after = list_clips(directory)
    assert splits(after) == splits(before)
    assert after.skipped == []


def test_damaged_lists(copied):
    directory = copied("hmdb51")
    before = list_clips(directory)
    with open(directory / "testTrainMulti_7030_splits" / "kick_ball_test_split2.txt", "a") as file:
        file.write("\nc.avi 1\nkick_ball_1.avi 3\nlonely.avi\ngone.avi 2\n")
    after = list_clips(directory)
    assert splits(after) == splits(before)
    form = "kick_ball_test_split2.txt has a line that is not of the form NAME 0, 1 or 2"
    assert after.skipped == [
        {"id": "kick_ball/c", "reason": "kick_ball_test_split2.txt lists it twice"},
        {"id": "kick_ball_1.avi 3", "reason": form},
        {"id": "lonely.avi", "reason": form},
        {"id": "kick_ball/gone", "reason": "has no media file"},
    ]


def test_a_class_lacks_one_list(copied):
    directory = copied("hmdb51")
    (directory / "testTrainMulti_7030_splits" / "kick_ball_test_split3.txt").unlink()
    with pytest.raises(UserError, match=r"kick_ball_test_split3\.txt is missing"):
        list_clips(directory)
