"""Finding videos and captions in a user's directory, without decoding."""

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from media_files import put

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption
from vatt_gh.media.library import LAYOUT, scan, video_id


def say(folder, *ids, file="caption.json"):
    row = {"text": ["hello"], "start": [0], "end": [1]}
    (folder / file).write_text(json.dumps(dict.fromkeys(ids, row)))


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("-_w4w9WgXc-", "-_w4w9WgXc-"),
        ("How to tie [dQw4w9WgXcQ]", "dQw4w9WgXcQ"),  # yt-dlp
        ("A [first] one [-Qw4w9WgXcQ]", "-Qw4w9WgXcQ"),
        ("How to tie-dQw4w9WgXcQ", "dQw4w9WgXcQ"),  # youtube-dl
        ("How-to-tie--Qw4w9WgXcQ", "-Qw4w9WgXcQ"),
        ("lesson 1", "lesson 1"),
        ("clip", "clip"),
        ("dQw4w9WgXcQ.f137", "dQw4w9WgXcQ.f137"),
        ("dQw4w9WgXcQQ", "dQw4w9WgXcQQ"),  # twelve characters
        ("[dQw4w9WgXcQ] tie", "[dQw4w9WgXcQ] tie"),
    ],
)
def test_ids_from_file_names(stem, expected):
    assert video_id(stem) == expected


def test_videos_of_any_depth_and_suffix_in_order_of_their_ids(tmp_path):
    put(tmp_path / "videos", "z.mp4", "b/x.webm", "b/c/w.MKV", "y.avi", "v.mov", "u.m4v")
    put(tmp_path / "videos", "z.info.json", "z.mp4.part", "mp4", "notes.txt")
    (tmp_path / "videos" / "folder.mp4").mkdir()
    (tmp_path / "elsewhere.mp4").write_bytes(b"x")
    library = scan(tmp_path)
    folder = tmp_path / "videos"
    assert library.videos == [
        ("u", folder / "u.m4v"),
        ("v", folder / "v.mov"),
        ("w", folder / "b/c/w.MKV"),
        ("x", folder / "b/x.webm"),
        ("y", folder / "y.avi"),
        ("z", folder / "z.mp4"),
    ]
    assert library.captions == {}
    reason = "is a download that was not finished"
    assert library.skipped == [{"path": str(folder / "z.mp4.part"), "reason": reason}]


def test_of_several_files_with_one_id_the_first_by_path_is_kept(tmp_path):
    put(
        tmp_path / "videos",
        "b/Tie [dQw4w9WgXcQ].webm",
        "a/dQw4w9WgXcQ.mp4",
        "c/Tie-dQw4w9WgXcQ.mp4",
    )
    library = scan(tmp_path)
    folder = tmp_path / "videos"
    assert library.videos == [("dQw4w9WgXcQ", folder / "a/dQw4w9WgXcQ.mp4")]
    assert [row["path"] for row in library.skipped] == [
        str(folder / "b/Tie [dQw4w9WgXcQ].webm"),
        str(folder / "c/Tie-dQw4w9WgXcQ.mp4"),
    ]
    for row in library.skipped:
        assert "dQw4w9WgXcQ" in row["reason"]
        assert str(folder / "a/dQw4w9WgXcQ.mp4") in row["reason"]


def test_captions_and_videos_that_miss_one_another(tmp_path):
    put(tmp_path / "videos", "a.mp4", "b.mp4")
    say(tmp_path, "b", "zz", "y")
    library = scan(tmp_path)
    assert [name for name, _ in library.videos] == ["a", "b"]
    assert list(library.captions) == ["b"]
    assert library.skipped == [
        {"id": "y", "reason": "has captions but no video file"},
        {"id": "zz", "reason": "has captions but no video file"},
    ]


def test_a_name_that_records_cannot_hold_is_left_out(tmp_path):
    put(tmp_path / "videos", "caf\u00e9.mp4", os.fsdecode(b"caf\xe9.mp4"))  # Latin-1
    library = scan(tmp_path)
    assert [name for name, _ in library.videos] == ["caf\u00e9"]
    (row,) = library.skipped
    assert os.fsencode(row["path"]).endswith(b"caf\xe9.mp4")
    assert row["reason"] == "has a name that is not UTF-8"
    assert json.loads(json.dumps(row)) == row


def test_a_folder_with_a_name_that_records_cannot_hold(tmp_path):
    put(tmp_path / "videos", os.fsdecode(b"caf\xe9/a.mp4"), "b.mp4")
    library = scan(tmp_path)
    assert [name for name, _ in library.videos] == ["b"]
    assert [row["reason"] for row in library.skipped] == ["has a name that is not UTF-8"]


def test_linked_files_and_folders_are_followed_once(tmp_path):
    put(tmp_path / "manual" / "videos", "own/a.mp4")
    put(tmp_path / "other" / "videos", "b.mp4", "deep/c.mp4")
    videos = tmp_path / "manual" / "videos"
    (videos / "disk2").symlink_to(tmp_path / "other" / "videos")
    (videos / "d.mp4").symlink_to(tmp_path / "other" / "videos" / "b.mp4")
    (videos / "again").symlink_to(videos / "own")
    (videos / "up").symlink_to(videos)
    (tmp_path / "other" / "videos" / "deep" / "up").symlink_to(tmp_path / "other")
    (videos / "gone.mp4").symlink_to(tmp_path / "nowhere")
    (videos / "itself.mp4").symlink_to(videos / "itself.mp4")
    (videos / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(videos / "pipe.mp4")
    library = scan(tmp_path / "manual")
    assert dict(library.videos) == {
        "a": videos / "own" / "a.mp4",
        "b": videos / "disk2" / "b.mp4",
        "c": videos / "disk2" / "deep" / "c.mp4",
        "d": videos / "d.mp4",
    }
    assert library.skipped == [
        {"path": str(videos / "gone.mp4"), "reason": "is a link to nothing"},
        {"path": str(videos / "itself.mp4"), "reason": "is a link to nothing"},
        {"path": str(videos / "pipe.mp4"), "reason": "is no file"},
    ]


def test_broken_captions_leave_the_video(tmp_path):
    put(tmp_path / "videos", "a.mp4")
    (tmp_path / "caption.json").write_text('{"a": 3}')
    library = scan(tmp_path)
    assert [name for name, _ in library.videos] == ["a"]
    assert library.captions == {}
    assert [row["id"] for row in library.skipped] == ["a"]


@pytest.mark.parametrize("file", ["raw_caption.json", "raw_caption_superclean.json"])
def test_other_names_of_the_caption_file(tmp_path, file):
    put(tmp_path / "videos", "a.mp4", "b.mp4")
    say(tmp_path, "a", file=file)
    assert list(scan(tmp_path).captions) == ["a"]
    say(tmp_path, "b")  # caption.json comes first
    assert list(scan(tmp_path).captions) == ["b"]


@pytest.mark.parametrize("state", ["missing", "a file", "empty", "no videos", "other files"])
def test_a_directory_without_videos_shows_the_layout(tmp_path, state):
    folder = tmp_path / "mine"
    if state == "a file":
        folder.write_text("x")
    elif state != "missing":
        folder.mkdir()
    if state == "no videos":
        (folder / "videos").mkdir()
    if state == "other files":
        put(folder / "videos", "a.txt")
        (folder / "b.mp4").write_bytes(b"not in videos/")
    with pytest.raises(UserError) as caught:
        scan(folder)
    missing = state in ("missing", "a file")
    assert ("is missing" if missing else "holds no video") in caught.value.what
    assert caught.value.where == str(folder)
    assert LAYOUT in caught.value.expected
    assert "--manual_dir" in caught.value.todo


def test_a_caption_file_that_is_not_json_is_refused(tmp_path):
    put(tmp_path / "videos", "a.mp4")
    (tmp_path / "caption.json").write_text("{'a': 1}")
    with pytest.raises(UserError, match="not JSON") as caught:
        scan(tmp_path)
    assert caught.value.where == str(tmp_path / "caption.json")


SRT = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"


def test_a_videos_own_captions_win_over_the_file_of_all_videos(tmp_path):
    put(tmp_path / "videos", "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    say(tmp_path, "a", "b", "d")
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "a.en.srt").write_text(SRT.format("from srt"))
    (tmp_path / "videos" / "c.vtt").write_text(SRT.format("beside") + SRT.format("..."))
    (tmp_path / "captions" / "d.srt").write_text("")  # unreadable, so that the other is used
    library = scan(tmp_path)
    assert library.skipped == []
    assert list(library.captions) == ["a", "b", "c", "d"]
    assert len(library.captions) == 4
    assert library.captions == {
        "a": [Caption("from srt", 1.0, 2.0)],
        "b": [Caption("hello", 0.0, 1.0)],
        "c": [Caption("beside", 1.0, 2.0)],
        "d": [Caption("hello", 0.0, 1.0)],
    }
    assert library.captions.get("e", []) == []
    assert [library.captions.of(name)[1] for name in "abcde"] == [
        [],
        [],
        [
            {
                "id": "c",
                "path": str(tmp_path / "videos" / "c.vtt"),
                "reason": "left out 1 of its captions, the first at line 5: it holds no word",
            }
        ],
        [{"id": "d", "path": str(tmp_path / "captions" / "d.srt"), "reason": "is empty"}],
        [],
    ]


def test_captions_that_cannot_be_read_anywhere_are_none(tmp_path):
    put(tmp_path / "videos", "a.mp4", "a.srt")
    captions = scan(tmp_path).captions
    assert captions.get("a", "nothing") == []
    assert captions.of("a")[1][0]["reason"] == 'holds no line "START --> END"'


def ask(library):
    return {name: library.captions[name] for name, _ in library.videos}


def test_another_process_reads_the_same_captions(tmp_path):
    put(tmp_path / "videos", "a.mp4", "b.mp4")
    say(tmp_path, "b")
    (tmp_path / "videos" / "a.srt").write_text(SRT.format("hi"))
    library = scan(tmp_path)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(ask, library).result() == {
            "a": [Caption("hi", 1.0, 2.0)],
            "b": [Caption("hello", 0.0, 1.0)],
        }


def test_the_index_is_kept_where_the_caller_says(tmp_path):
    put(tmp_path / "manual" / "videos", "a.mp4")
    say(tmp_path / "manual", "a", file="raw_caption.json")
    data = tmp_path / "data"
    for _ in range(2):
        library = scan(tmp_path / "manual", data)
        assert library.captions["a"] == [Caption("hello", 0.0, 1.0)]
        assert list(data.glob("*.sqlite")) == [data / "raw_caption.json.sqlite"]
    assert list((tmp_path / "manual").rglob("*.sqlite")) == []


def test_ids_in_metadata_are_never_paths(tmp_path):
    put(tmp_path / "manual" / "videos", "a.mp4")
    outside = tmp_path / "secret.srt"
    outside.write_text(SRT.format("secret"))
    names = ["../secret", "../../secret.srt", str(outside), str(outside.with_suffix("")), "..", "."]
    say(tmp_path / "manual", *names)
    library = scan(tmp_path / "manual", tmp_path / "data")
    assert dict(library.captions) == {}
    assert all(library.captions.get(name) is None for name in names)
    reason = "has captions but no video file"
    assert library.skipped == [{"id": name, "reason": reason} for name in sorted(names)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "manual", "secret.srt"]
