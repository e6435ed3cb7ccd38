"""Finding a video's caption file: names, languages, places, and several for one video."""

import os

import pytest
from media_files import put

from vatt_gh.media.captions import find_caption_files
from vatt_gh.media.file_tree import scan_files

ID = "-Qw4w9WgXcQ"


def find(folder, *ids):
    there = [name for name in ("captions", "videos") if (folder / name).is_dir()]
    files, skipped = find_caption_files(
        {name: scan_files(folder / name, "") for name in there}, ids
    )
    return (
        {name: str(path.relative_to(folder)) for name, path in files.items()},
        {os.path.relpath(row["path"], folder): row["reason"] for row in skipped},
    )


@pytest.mark.parametrize(
    "name",
    [
        f"captions/{ID}.csv",
        f"captions/a/b/{ID}.SRT",
        f"captions/{ID}.en.vtt",
        f"captions/Carving [{ID}].en-orig.json3",
        f"captions/Carving-{ID}.zh-Hans.json",
        f"videos/Carving [{ID}].en-eEY6OEpapPo.vtt",
        f"videos/deep/er/{ID}.pt_BR.srt",
        f"videos/{ID}.json",
        f"videos/{ID}.en.csv",
        f"captions/{ID}.mp4.vtt",
        f"videos/{ID}.webm.srt",
        f"captions/{ID}.wav.srt",
        f"captions/{ID}.mp4.en.vtt",
        f"captions/{ID}.en.MKV.vtt",
        f"videos/{ID}.en.sdh.srt",
        f"videos/{ID}.en.hi.srt",
        f"videos/{ID}.EN.srt",
        f"videos/{ID}.English.srt",
        f"videos/Carving [{ID}].en-US.cc.srt",
        f"videos/{ID}.forced.srt",
        f"videos/{ID}.default.de.vtt",
    ],
)
def test_names_of_a_videos_captions(tmp_path, name):
    put(tmp_path, name)
    assert find(tmp_path, ID, "other") == ({ID: name}, {})


@pytest.mark.parametrize(
    "name",
    [
        f"captions/{ID}.info.json",
        f"videos/{ID}.info.json",
        f"videos/Carving [{ID}].live_chat.json",
        f"videos/{ID}.mp4",
        f"{ID}.vtt",
        f"elsewhere/{ID}.vtt",
        "videos/list.csv",
        "videos/notes.json",
    ],
)
def test_other_files_are_left_alone(tmp_path, name):
    put(tmp_path, name)
    assert find(tmp_path, ID) == ({}, {})


def test_a_folder_with_the_name_of_a_file_is_none(tmp_path):
    (tmp_path / "captions" / f"{ID}.vtt").mkdir(parents=True)
    assert find(tmp_path, ID) == ({}, {})


def test_a_videos_own_name_wins_over_a_language(tmp_path):
    put(tmp_path, "captions/lesson.one.srt", "captions/lesson.two.en.srt", "captions/talk.de.srt")
    assert find(tmp_path, "lesson.one", "lesson.two", "lesson", "talk.de", "talk") == (
        {
            "lesson.one": "captions/lesson.one.srt",
            "lesson.two": "captions/lesson.two.en.srt",
            "talk.de": "captions/talk.de.srt",
        },
        {},
    )


def test_of_several_files_the_first_by_the_rule_is_taken_and_others_are_named(tmp_path):
    order = [
        f"captions/z/{ID}.csv",
        f"captions/{ID}.vtt",
        f"captions/{ID}.json",
        f"captions/{ID}.en.srt",
        f"captions/{ID}.en-GB.csv",
        f"captions/{ID}.en-orig.csv",
        f"captions/a/{ID}.de.vtt",
        f"captions/b/{ID}.de.vtt",
        f"captions/{ID}.de-orig.vtt",
        f"captions/{ID}.fr.vtt",
        f"videos/Carving [{ID}].en.json3",
        f"videos/{ID}.en.vtt",
        f"videos/{ID}.en.srt",
        f"videos/{ID}.csv",  # may contain anything
        f"videos/{ID}.en.json",
    ]
    put(tmp_path, *reversed(order))
    while order:
        files, skipped = find(tmp_path, ID)
        assert files == {ID: order[0]}
        assert list(skipped) == order[1:]
        reason = f"is of the same video {ID} as {tmp_path / order[0]}"
        assert set(skipped.values()) <= {reason}
        (tmp_path / order.pop(0)).unlink()


def test_captions_of_unknown_videos_and_names_that_are_not_utf_8_are_listed(tmp_path):
    put(tmp_path, "captions/nobody.en.vtt", "captions/nothing.json", "videos/nobody.srt")
    latin = "captions/" + os.fsdecode(b"caf\xe9.srt")
    put(tmp_path, latin)
    files, skipped = find(tmp_path, ID)
    assert files == {}
    unknown = "has captions of {}, and there is no such video file"
    assert skipped == {
        "captions/nobody.en.vtt": unknown.format("nobody"),
        "captions/nothing.json": unknown.format("nothing"),
        "videos/nobody.srt": unknown.format("nobody"),
        latin: "has a name that is not UTF-8",
    }


def test_links_to_files_elsewhere_are_followed(tmp_path):
    put(tmp_path, "elsewhere/speech.txt")
    folder = tmp_path / "manual"
    (folder / "captions").mkdir(parents=True)
    (folder / "captions" / f"{ID}.vtt").symlink_to(tmp_path / "elsewhere/speech.txt")
    (folder / "captions" / "gone.vtt").symlink_to(tmp_path / "nowhere")
    assert find(folder, ID, "gone") == (
        {ID: f"captions/{ID}.vtt"},
        {"captions/gone.vtt": "is a link to nothing"},
    )


def test_a_directory_without_captions(tmp_path):
    assert find(tmp_path, ID) == ({}, {})


@pytest.mark.parametrize(
    ("taken", "other"),
    [
        ("captions/v.en.srt", "captions/v.en.forced.srt"),
        ("videos/v.de.srt", "captions/v.forced.srt"),
        ("captions/v.en.srt", "captions/v.en.sdh.srt"),
        ("captions/v.English.srt", "captions/v.hi.srt"),  # Hindi
        ("captions/v.en.hi.srt", "captions/v.fr.srt"),  # for the hard of hearing
        ("captions/v.EN.srt", "captions/v.de.csv"),
    ],
)
def test_of_two_the_fuller_and_english_one_is_taken(tmp_path, taken, other):
    put(tmp_path, taken, other)
    files, skipped = find(tmp_path, "v")
    assert files == {"v": taken}
    assert skipped.keys() == {other}


@pytest.mark.parametrize("name", ["how.to.fix", "v.part.two", "v.2", "v.cut.en"])
def test_a_longer_name_is_another_video(tmp_path, name):
    put(tmp_path, f"captions/{name}.srt")
    files, skipped = find(tmp_path, "v", "how")
    assert files == {} and len(skipped) == 1
