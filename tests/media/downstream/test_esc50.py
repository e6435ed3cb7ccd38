"""ESC-50: folds, class numbers, damaged csv."""

import pytest
from dummy_data import sound

from vatt_gh.errors import UserError
from vatt_gh.media.downstream.esc50 import list_clips


def table_of(directory):
    return directory / "ESC-50-master" / "meta" / "esc50.csv"


def test_folds_and_classes(pristine):
    listing = list_clips(pristine("esc50"))
    assert listing.class_names == ["dog", "rooster"]
    assert {clip.id: (clip.labels, clip.splits) for clip in listing.clips} == {
        f"{fold}-10{fold}-A-{target}": ((target,), (f"fold{fold}",))
        for fold in range(1, 6)
        for target in (0, 1)
    }


def test_another_suffix_and_a_sound_that_no_list_knows(copied):
    directory = copied("esc50")
    clip = list_clips(directory).clips[0]
    clip.path.unlink()
    other = sound(clip.path.with_suffix(".flac"))
    unknown = sound(directory / "more.wav")
    listing = list_clips(directory)
    assert listing.clips[0].id == clip.id
    assert listing.clips[0].path == other
    assert listing.skipped == [{"path": str(unknown), "reason": "is in no annotation file"}]


def test_damaged_rows(copied):
    directory = copied("esc50")
    before = list_clips(directory)
    with open(table_of(directory), "a") as file:
        file.write("1-101-A-0.wav,2,0,dog,True,1,A\n")
        file.write("x.wav,6,0,dog,True,1,A\ny.wav,12,0,dog,True,1,A\nz.wav,1,-1,dog,True,1,A\n")
        file.write("w.wav,,0,dog,True,1,A\nv.wav\n")
    after = list_clips(directory)
    assert after.clips == before.clips
    assert [row["id"] for row in after.skipped] == ["1-101-A-0", "x", "y", "z", "w", "v"]
    assert after.skipped[0]["reason"] == "is listed again"
    assert all("expected 1 to 5 and a number" in row["reason"] for row in after.skipped[1:])


@pytest.mark.parametrize(
    ("row", "what"),
    [("n.wav,1,0,cat,True,1,A", "two categories"), ("n.wav,1,3,cat,True,1,A", "without gaps")],
)
def test_classes_that_contradict_or_miss_are_refused(copied, row, what):
    directory = copied("esc50")
    with open(table_of(directory), "a") as file:
        file.write(f"{row}\n")
    with pytest.raises(UserError, match=what) as caught:
        list_clips(directory)
    assert caught.value.where == str(table_of(directory))


def test_a_column_is_missing(copied):
    directory = copied("esc50")
    path = table_of(directory)
    path.write_text(path.read_text().replace("category", "kind"))
    with pytest.raises(UserError, match="has no column category"):
        list_clips(directory)
