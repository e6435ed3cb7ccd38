"""videos.csv in place of file names."""

import math

import pytest

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption
from vatt_gh.media.form import Span
from vatt_gh.media.library import scan


@pytest.fixture
def folder(tmp_path):
    """Three files with meaningless names, and a caption file."""
    for name in ("a/one.MTS", "b.bin", "c.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "one.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nfrom a file\n")
    return tmp_path


def write(folder, text):
    (folder / "videos.csv").write_text(text, encoding="utf-8")


def test_every_column(folder):
    write(
        folder,
        "video_id,path,caption_path,start,end,text,label\n"
        "first,a/one.MTS,one.srt,,,,\n"
        "second,b.bin,,2.5,7,said all the time,cooking|baking\n"
        'third,c.mp4,,4,,"open, to the end",\n',
    )
    library = scan(folder)
    assert library.videos == [
        ("first", folder / "a" / "one.MTS"),
        ("second", folder / "b.bin"),
        ("third", folder / "c.mp4"),
    ]
    assert library.spans == {"second": Span(2.5, 7.0), "third": Span(4.0, None)}
    assert library.labels == {"second": ("cooking", "baking")}
    assert library.captions["first"] == [Caption("from a file", 1.0, 2.0)]
    assert library.captions["second"] == [Caption("said all the time", 2.5, 7.0)]
    assert library.captions["third"] == [Caption("open, to the end", 4.0, math.inf)]
    assert library.skipped == []
    assert library.below("first") == "a/one.MTS"


def test_rows_that_cannot_be_used_are_named(folder):
    (folder.parent / "outside.mp4").write_bytes(b"x")
    write(
        folder,
        "path,video_id,start,end\n"
        "c.mp4,good,,\n"
        "c.mp4,good,1,2\n"
        "../outside.mp4,outside,,\n"
        "/etc/hostname,absolute,,\n"
        "gone.mp4,gone,,\n"
        "c.mp4,backwards,5,4\n"
        "c.mp4,words,soon,\n"
        "c.mp4,before,-1,2\n"
        "c.mp4,endless,nan,\n"
        "c.mp4,more,1,2,3\n"
        ",nothing,,\n",
    )
    library = scan(folder)
    assert [name for name, _ in library.videos] == ["good"]
    assert library.spans == {}
    reasons = {row["id"]: row["reason"] for row in library.skipped}
    assert reasons == {
        "good": "is in videos.csv twice; the first row is taken",
        "outside": "has a path that leads out of manual_dir",
        "absolute": "has a path that leads out of manual_dir",
        "gone": f"{folder / 'gone.mp4'} is missing",
        "backwards": "start '5', end '4' are no stretch of time",
        "words": "start 'soon', end '' are no stretch of time",
        "before": "start '-1', end '2' are no stretch of time",
        "endless": "start 'nan', end '' are no stretch of time",
        "more": "does not have a value for every column, or has more",
        "nothing": "does not have a value for every column, or has more",
    }


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("path,start", "lacks video_id"),
        ("path,video_id,begin", "has 'begin'"),
        ("", "lacks path, lacks video_id"),
    ],
)
def test_columns_are_checked(folder, head, problem):
    write(folder, f"{head}\nx,y,z\n")
    with pytest.raises(UserError, match=problem) as caught:
        scan(folder)
    assert caught.value.where == str(folder / "videos.csv")
