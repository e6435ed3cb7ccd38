"""Real-world directories: leftovers of systems and tools, several files of one id."""

import pytest
from media_files import grey, put, write_media

from vatt_gh.errors import UserError
from vatt_gh.media.file_tree import open_text
from vatt_gh.media.library import scan

ID = "-Qw4w9WgXcQ"


def good(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_media(path, [grey(100)] * 10, [k / 10 for k in range(10)])


def named(library, folder):
    return {row["path"].removeprefix(f"{folder}/"): row["reason"] for row in library.skipped}


def test_what_systems_put_beside_files_is_no_file_of_a_user(tmp_path):
    put(
        tmp_path,
        f"videos/Tea [{ID}].mp4",
        f"videos/._Tea [{ID}].mp4",
        f"videos/__MACOSX/Tea [{ID}].mp4",
        f"captions/._Tea [{ID}].en.vtt",
        f"captions/Tea [{ID}].en.vtt",
        "videos/.DS_Store",
        "captions/Thumbs.db",
        "captions/desktop.ini",
    )
    library = scan(tmp_path)
    assert library.videos == [(ID, tmp_path / f"videos/Tea [{ID}].mp4")]
    assert library.captions.of(ID)[1][0]["path"] == str(tmp_path / f"captions/Tea [{ID}].en.vtt")
    assert library.skipped == []


def test_left_overs_of_downloads_are_named_and_hold_no_place(tmp_path):
    put(
        tmp_path / "videos",
        f"Soup [{ID}].mp4",
        f"Soup [{ID}].f401.mp4",
        f"Soup [{ID}].f251-drc.webm",
        f"Soup [{ID}].temp.mp4",
        "Cake.mp4.part",
        "Cake.mp4.ytdl",
        "Cake.f137.mp4.part-Frag12",
    )
    library = scan(tmp_path)
    assert library.videos == [(ID, tmp_path / f"videos/Soup [{ID}].mp4")]
    reasons = named(library, tmp_path)
    assert len(reasons) == 6
    assert sum("is a left-over of yt-dlp" in reason for reason in reasons.values()) == 3
    assert sum(r == "is a download that was not finished" for r in reasons.values()) == 3


def test_pictures_that_were_not_merged_have_the_id_and_say_so(tmp_path):
    put(tmp_path / "videos", f"Stew-{ID}.f140.m4a")
    path = good(tmp_path / "videos" / f"Stew-{ID}.f137.mp4")
    (tmp_path / "videos" / f"Stew-{ID}.en.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,900\nstir\n"
    )
    library = scan(tmp_path)
    assert library.videos == [(ID, path)]
    assert [row.text for row in library.captions[ID]] == ["stir"]
    alone = "was not merged with its other part, or not finished, by yt-dlp"
    assert named(library, tmp_path) == {
        f"videos/Stew-{ID}.f140.m4a": "is sound alone, and this set is of videos",
        f"videos/Stew-{ID}.f137.mp4": alone,
    }


@pytest.mark.parametrize(
    ("bad", "fine"),
    [("a.mp4", "b/a.mp4"), ("a.avi", "a.mp4"), (f"a/T [{ID}].mkv", f"b/{ID}.webm")],
)
def test_of_several_files_the_one_that_can_be_decoded_is_taken(tmp_path, bad, fine):
    put(tmp_path / "videos", bad)
    path = tmp_path / "videos" / fine
    if fine.endswith("webm"):
        path.parent.mkdir(parents=True)
        write_media(path, [grey(1)] * 9, [k / 10 for k in range(9)], codec="libvpx")
    else:
        good(path)
    library = scan(tmp_path)
    assert [p for _, p in library.videos] == [path]
    reason = named(library, tmp_path)[f"videos/{bad}"]
    assert reason.startswith("cannot be decoded: ")
    assert reason.endswith(f"; has the same id as {path}")


LISTED = [("videos/one.mp4", "first"), ("videos/two.mp4", "second")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("slash", ["/", "\\"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_that_were_made_on_windows(tmp_path, separator, end, slash, encoding):
    put(tmp_path, *(path for path, _ in LISTED))
    rows = [("path", "video_id"), *((path.replace("/", slash), name) for path, name in LISTED)]
    text = "".join(separator.join(row) + end for row in rows)
    (tmp_path / "videos.csv").write_bytes(text.encode(encoding))
    library = scan(tmp_path)
    assert library.videos == [(name, tmp_path / path) for path, name in LISTED]
    assert library.skipped == []


def test_a_list_may_name_files_below_videos_and_nothing_outside(tmp_path, monkeypatch):
    folder = tmp_path / "manual"
    put(folder, "videos/one.mp4")
    put(tmp_path, "outside.mp4")
    rows = ("one.mp4,a", "../outside.mp4,b", "..\\outside.mp4,c", "videos/../../outside.mp4,d")
    (folder / "videos.csv").write_text("path,video_id\n" + "\n".join(rows) + "\n")
    monkeypatch.chdir(folder)
    for given in (folder, "."):
        library = scan(given)
        assert library.videos == [("a", folder / "videos" / "one.mp4")]
        assert [row["id"] for row in library.skipped] == ["b", "c", "d"]


def test_that_no_row_can_be_used_says_why(tmp_path):
    (tmp_path / "videos.csv").write_text("path,video_id\ngone.mp4,a\n")
    with pytest.raises(UserError, match=r"the first of 1 that cannot be used: a: .*is missing"):
        scan(tmp_path)


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>a, b, c</body></html>\n"


def test_a_web_page_as_videos_csv_is_named(tmp_path):
    put(tmp_path, "videos/one.mp4")
    (tmp_path / "videos.csv").write_bytes(PAGE)
    with pytest.raises(UserError, match="it is a web page"):
        scan(tmp_path)


def test_text_that_begins_with_a_sign_is_no_page(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("<3,words\n")
    with open_text(path) as file:
        assert file.read() == "<3,words\n"
