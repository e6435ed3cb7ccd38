"""MSR-VTT: its own split and 1k-A, in one JSON file or two."""

import json

import pytest

from vatt_gh.errors import UserError
from vatt_gh.media.downstream.msrvtt import list_clips


def content(listing):
    return {clip.id: (clip.splits, clip.captions) for clip in listing.clips}


def captions(n, *numbers):
    return tuple(f"caption {k} of {n}, naïve" for k in numbers or (0, 1))


def split_up(directory):
    """The form of 2016: one file for the test set, one for the rest."""
    path = directory / "MSRVTT_data.json"
    whole = json.loads(path.read_text())
    path.unlink()
    for name, parts in (("train_val", ("train", "validate")), ("test", ("test",))):
        videos = [row for row in whole["videos"] if row["split"] in parts]
        ids = {row["video_id"] for row in videos}
        sentences = [row for row in whole["sentences"] if row["video_id"] in ids]
        half = {"info": {}, "videos": videos, "sentences": sentences}
        (directory / f"{name}_videodatainfo.json").write_text(json.dumps(half))


@pytest.mark.parametrize("files", ["one", "two"])
def test_the_full_split(copied, files):
    directory = copied("msrvtt")
    if files == "two":
        split_up(directory)
    listing = list_clips(directory, split="full")
    parts = ("train", "train", "validate", "test", "test")
    assert content(listing) == {f"video{n}": ((p,), captions(n)) for n, p in enumerate(parts)}
    # The times are those on YouTube: the file is the clip.
    assert {(clip.start, clip.end) for clip in listing.clips} == {(None, None)}
    assert listing.skipped == []


@pytest.mark.parametrize("files", ["one", "two"])
def test_1k_a_tests_one_sentence_and_trains_on_all_other_clips(copied, files):
    directory = copied("msrvtt")
    if files == "two":
        split_up(directory)
    listing = list_clips(directory)
    assert listing.skipped == []
    assert content(listing) == {
        "video3": (("test",), captions(3, 1)),
        "video1": (("test",), captions(1, 0)),
        "video0": (("train",), captions(0)),
        "video2": (("train",), captions(2)),
        "video4": (("train",), captions(4)),
    }


def test_the_test_clips_of_1k_a_need_no_json(copied):
    directory = copied("msrvtt")
    (directory / "MSRVTT_data.json").unlink()
    for n in (0, 2, 4):
        (directory / "videos" / f"video{n}.mp4").unlink()
    listing = list_clips(directory)
    assert list(content(listing)) == ["video3", "video1"]
    (row,) = listing.skipped
    assert row["path"] == str(directory / "MSRVTT_data.json")
    assert "training clips" in row["reason"]
    with pytest.raises(UserError, match="are missing"):
        list_clips(directory, split="full")


def test_of_two_files_each_gives_its_splits(copied):
    directory = copied("msrvtt")
    before = list_clips(directory, split="full")
    split_up(directory)
    lost = directory / "test_videodatainfo.json"
    lost.unlink()
    listing = list_clips(directory, split="full")
    assert listing.clips == [clip for clip in before.clips if clip.splits != ("test",)]
    row = {"path": str(lost), "reason": "is missing: its splits are left out"}
    assert row in listing.skipped


def test_damaged_entries(copied):
    directory = copied("msrvtt")
    before = list_clips(directory, split="full")
    path = directory / "MSRVTT_data.json"
    whole = json.loads(path.read_text())
    whole["videos"] += [
        {"video_id": "video0", "split": "test"},
        {"video_id": "video9", "split": "train"},
        {"video_id": "video8", "split": "spare"},
        {"video_id": "video7"},
        {"video_id": 6, "split": "train"},
    ]
    whole["sentences"].append({"video_id": "video99", "caption": "of nothing"})
    path.write_text(json.dumps(whole))
    after = list_clips(directory, split="full")
    assert after.clips == before.clips
    assert sorted(after.skipped, key=lambda row: row["id"]) == [
        {"id": "6", "reason": "has no media file"},
        {"id": "video0", "reason": "is listed again: test"},
        {"id": "video7", "reason": "is in no split: None"},
        {"id": "video8", "reason": "is in no split: 'spare'"},
        {"id": "video9", "reason": "has no media file"},
    ]


@pytest.mark.parametrize("broken", ["{", "[]", "{}", '{"videos": [3], "sentences": []}'])
def test_json_of_another_form_is_refused(copied, broken):
    directory = copied("msrvtt")
    (directory / "MSRVTT_data.json").write_text(broken)
    for split in ("full", "1k-A"):
        with pytest.raises(UserError, match="annotation file") as caught:
            list_clips(directory, split=split)
        assert caught.value.where == str(directory / "MSRVTT_data.json")
