"""YouCook2: steps as pieces of videos, the test set without captions, damaged entries."""

import json

import pytest

from vatt_gh.errors import UserError
from vatt_gh.media.downstream.youcook2 import list_clips


def trainval(directory):
    return directory / "annotations" / "youcookii_annotations_trainval.json"


def change(directory, edit):
    content = json.loads(trainval(directory).read_text())
    edit(content["database"])
    trainval(directory).write_text(json.dumps(content))


def test_steps_are_pieces_of_videos(pristine):
    directory = pristine("youcook2")
    listing = list_clips(directory)
    places = {
        "-0RWZT-miFs": ("training", "101", "mp4"),
        "_zLzFtLN1gA": ("validation", "101", "mkv"),
        "dQw4w9WgXcQ": ("validation", "226", "webm"),
        "Yabcdefghi_": ("testing", "226", "mp4"),
    }
    found = {
        clip.id: (clip.path, clip.start, clip.end, clip.captions, clip.splits)
        for clip in listing.clips
    }
    assert found == {
        f"{video}_{n}": (
            directory / "raw_videos" / subset / recipe / f"{video}.{suffix}",
            n,
            n + 1,
            () if subset == "testing" else (f"step {n} of {video}",),
            (subset,),
        )
        for video, (subset, recipe, suffix) in places.items()
        for n in range(2)
    }


def test_without_the_test_set(copied):
    directory = copied("youcook2")
    (directory / "annotations" / "youcookii_annotations_test_segments_only.json").unlink()
    listing = list_clips(directory)
    assert {split for clip in listing.clips for split in clip.splits} == {"training", "validation"}
    (row,) = listing.skipped
    assert row["path"].endswith("Yabcdefghi_.mp4")


def test_names_with_a_title(copied):
    directory = copied("youcook2")
    before = list_clips(directory)
    path = before.clips[0].path
    path.rename(path.with_name("How to cook [-0RWZT-miFs].mp4"))
    after = list_clips(directory)
    assert [clip.id for clip in after.clips] == [clip.id for clip in before.clips]
    assert after.skipped == []


def test_a_missing_video_is_one_row(copied):
    directory = copied("youcook2")
    list_clips(directory).clips[0].path.unlink()
    listing = list_clips(directory)
    assert listing.skipped == [{"id": "-0RWZT-miFs", "reason": "has no media file (2 clips)"}]


def test_damaged_steps(copied):
    directory = copied("youcook2")
    before = list_clips(directory)

    def edit(database):
        database["-0RWZT-miFs"]["annotations"] += [
            {"id": 0, "segment": [0, 1], "sentence": "again"},
            {"id": 5, "segment": [2, 2], "sentence": "empty"},
            {"id": 6, "segment": [-1, 2], "sentence": "before"},
            {"id": 7, "segment": [1, float("inf")], "sentence": "without end"},
            {"id": 8, "segment": [1, float("nan")], "sentence": "no number"},
            {"id": 9, "segment": [1], "sentence": "half"},
            {"segment": [1, 2]},
            "a step",
        ]
        database["aaaaaaaaaaa"] = {"subset": "spare", "annotations": []}
        database["bbbbbbbbbbb"] = {"subset": "training"}
        database["ccccccccccc"] = 3

    change(directory, edit)
    after = list_clips(directory)
    assert after.clips == before.clips
    ids = [row["id"] for row in after.skipped]
    assert ids[:5] == [f"-0RWZT-miFs_{n}" for n in (0, 5, 6, 7, 8)]
    assert ids[5:] == ["-0RWZT-miFs"] * 3 + ["aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc"]
    assert all("another form" in row["reason"] for row in after.skipped[5:8])


@pytest.mark.parametrize("broken", ["{", "[]", "{}", '{"database": []}'])
def test_json_of_another_form_is_refused(copied, broken):
    directory = copied("youcook2")
    trainval(directory).write_text(broken)
    with pytest.raises(UserError, match="annotation file") as caught:
        list_clips(directory)
    assert caught.value.where == str(trainval(directory))
