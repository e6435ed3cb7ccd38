"""UCF101: official splits, two spellings of one class, damaged lists."""

import pytest
from dummy_data import text

from vatt_gh.errors import UserError
from vatt_gh.media.downstream.ucf101 import SPLITS, list_clips


def by_id(listing):
    return {clip.id: clip for clip in listing.clips}


def members(listing, split):
    return {clip.id for clip in listing.clips if split in clip.splits}


def test_the_official_splits(pristine):
    listing = list_clips(pristine("ucf101"))
    assert listing.class_names == ["ApplyEyeMakeup", "HandstandPushups"]
    for number in "123":
        tested = {f"v_ApplyEyeMakeup_g0{number}_c01", f"v_HandstandPushups_g0{number}_c01"}
        assert members(listing, f"test{number}") == tested
        assert members(listing, f"train{number}") == by_id(listing).keys() - tested
    assert {split for clip in listing.clips for split in clip.splits} == set(SPLITS)


def test_ids_are_as_listed_and_files_as_they_are(pristine):
    clip = by_id(list_clips(pristine("ucf101")))["v_HandstandPushups_g01_c01"]
    assert clip.path.name == "v_HandStandPushups_g01_c01.avi"
    assert clip.labels == (1,)
    assert (clip.start, clip.end, clip.captions) == (None, None, ())


@pytest.mark.parametrize("spelled", ["HandStandPushups", "handstandpushups"])
def test_any_spelling_of_the_class_in_the_lists(copied, spelled):
    directory = copied("ucf101")
    before = list_clips(directory)
    for path in (directory / "ucfTrainTestlist").glob("t*list03.txt"):
        path.write_text(path.read_text().replace("HandstandPushups", spelled))
    assert list_clips(directory) == before


def test_files_of_another_suffix(copied):
    directory = copied("ucf101")
    before = list_clips(directory)
    for clip in before.clips:
        clip.path.rename(clip.path.with_suffix(".mp4"))
    after = list_clips(directory)
    assert [clip.id for clip in after.clips] == [clip.id for clip in before.clips]
    assert {clip.path.suffix for clip in after.clips} == {".mp4"}
    assert after.skipped == []


def test_of_two_files_of_a_clip_the_first_is_kept(copied):
    directory = copied("ucf101")
    clip = by_id(list_clips(directory))["v_ApplyEyeMakeup_g01_c01"]
    other = clip.path.with_suffix(".mp4")
    other.write_bytes(clip.path.read_bytes())
    listing = list_clips(directory)
    assert by_id(listing)[clip.id] == clip
    reason = f"has the same id as {clip.path}"
    assert listing.skipped == [{"path": str(other), "reason": reason}]


def test_damaged_lists(copied):
    directory = copied("ucf101")
    before = list_clips(directory)
    with open(directory / "ucfTrainTestlist" / "testlist01.txt", "a") as file:
        file.write("ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01.avi\n")  # is in trainlist01
        file.write("HandstandPushups/v_ApplyEyeMakeup_g01_c01.avi\n")  # is in another class
        file.write("Juggling/v_Juggling_g01_c01.avi\n")
        file.write("ApplyEyeMakeup\n")
    after = list_clips(directory)
    assert by_id(after) == by_id(before)
    assert [(row["id"], row["reason"][:30]) for row in after.skipped] == [
        ("v_ApplyEyeMakeup_g02_c01", "testlist01.txt lists it again;"),
        ("v_ApplyEyeMakeup_g01_c01", "testlist01.txt lists it again;"),
        ("ApplyEyeMakeup", "is not the plain name of a fil"),
        ("v_Juggling_g01_c01", "the class Juggling is not in c"),
    ]


@pytest.mark.parametrize("lines", [["1 A", "3 B"], ["A", "B"], ["1 A B"], ["0 A"]])
def test_classes_that_are_not_numbered_from_one(copied, lines):
    directory = copied("ucf101")
    path = text(directory / "ucfTrainTestlist" / "classInd.txt", *lines)
    with pytest.raises(UserError, match="numbered from 1") as caught:
        list_clips(directory)
    assert caught.value.where == str(path)


def test_one_list_is_missing(copied):
    directory = copied("ucf101")
    (directory / "ucfTrainTestlist" / "testlist02.txt").unlink()
    with pytest.raises(UserError, match=r"testlist02\.txt is missing"):
        list_clips(directory)
