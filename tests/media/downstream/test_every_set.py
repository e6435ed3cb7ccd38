"""All evaluation sets: real media, missing files, links, damaged lists."""

import importlib
import os
import re
from collections import Counter

import av
import pytest
from dummy_data import MAKERS, video

from vatt_gh.errors import UserError

SETS = [name for name in MAKERS if name not in ("howto100m", "youtube8m", "msrvtt_1ka")]
LISTS = (".txt", ".csv", ".json")


def module_of(name):
    return importlib.import_module(f"vatt_gh.media.downstream.{name.removesuffix('_cvdf')}")


def list_clips(name, directory):
    return module_of(name).list_clips(directory)


@pytest.mark.parametrize("name", SETS)
def test_everything_is_found_and_can_be_decoded(pristine, name):
    directory = pristine(name)
    listing = list_clips(name, directory)
    media = {p for p in directory.rglob("*") if p.is_file() and p.suffix not in LISTS}
    assert {clip.path for clip in listing.clips} == media
    assert listing.skipped == []
    assert len({clip.id for clip in listing.clips}) == len(listing.clips)
    for clip in listing.clips:
        assert all(0 <= label < len(listing.class_names) for label in clip.labels)
        assert bool(clip.labels) == bool(listing.class_names)
        with av.open(clip.path) as container:
            seconds = container.duration / av.time_base
            assert next(container.decode(container.streams[0])).pts is not None
        if clip.start is not None:
            assert 0 <= clip.start < clip.end <= seconds + 0.1


@pytest.mark.parametrize("name", SETS)
def test_missing_files_are_named_and_the_rest_stays(copied, name):
    directory = copied(name)
    before = list_clips(name, directory)
    gone = before.clips[0].path
    gone.unlink()
    after = list_clips(name, directory)
    assert after.clips == [clip for clip in before.clips if clip.path != gone]
    assert len(after.clips) < len(before.clips)
    (row,) = after.skipped
    assert row["reason"].startswith("has no media file")
    assert before.clips[0].id.startswith(row["id"])


@pytest.mark.parametrize("name", SETS)
def test_no_media_at_all_is_no_error(copied, name):
    directory = copied(name)
    before = list_clips(name, directory)
    for clip in before.clips:
        clip.path.unlink(missing_ok=True)
    after = list_clips(name, directory)
    assert after.clips == []
    assert after.class_names == before.class_names
    # YouCook2 lists a video once, not each of its pieces.
    missing = {c.id.rpartition("_")[0] if name == "youcook2" else c.id for c in before.clips}
    assert sorted(row["id"] for row in after.skipped) == sorted(missing)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("state", ["missing", "a file", "empty", "media only"])
def test_missing_annotations_show_the_layout(copied, tmp_path, name, state):
    directory = tmp_path / "none"
    if state == "a file":
        directory.write_text("x")
    elif state == "empty":
        directory.mkdir()
    elif state == "media only":
        directory = copied(name)
        for path in directory.rglob("*"):
            if path.suffix in LISTS:
                path.unlink()
    with pytest.raises(UserError, match="missing") as caught:
        list_clips(name, directory)
    assert caught.value.where == str(directory)
    assert module_of(name).LAYOUT in caught.value.expected
    assert "--manual_dir" in caught.value.todo


@pytest.mark.parametrize("name", SETS)
def test_annotations_that_are_not_utf_8_are_refused(copied, name):
    directory = copied(name)
    for path in sorted(p for p in directory.rglob("*") if p.suffix in LISTS):
        content = path.read_bytes()
        path.write_bytes(content + b'"caf\xe9"\n')
        with pytest.raises(UserError, match="cannot be read") as caught:
            list_clips(name, directory)
        assert caught.value.where == str(path)
        path.write_bytes(b"\xef\xbb\xbf" + content)  # as some editors begin files
        assert list_clips(name, directory).skipped == []


@pytest.mark.parametrize("name", SETS)
def test_annotations_may_lie_anywhere(copied, name):
    directory = copied(name)
    before = list_clips(name, directory)
    for path in [p for p in directory.rglob("*") if p.suffix in LISTS]:
        path.rename(directory / path.name)
    assert list_clips(name, directory) == before


@pytest.mark.parametrize("name", SETS)
def test_a_linked_directory_is_read_once(copied, tmp_path, name):
    directory = copied(name)
    before = list_clips(name, directory)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a").symlink_to(directory, target_is_directory=True)
    (mine / "b").symlink_to(directory, target_is_directory=True)
    (directory / "loop").symlink_to(mine, target_is_directory=True)
    after = list_clips(name, mine)
    assert [clip.id for clip in after.clips] == [clip.id for clip in before.clips]
    assert after.skipped == []


@pytest.mark.parametrize("name", [name for name in SETS if name != "esc50"])
def test_files_that_no_list_knows_and_links_to_nothing(copied, name):
    directory = copied(name)
    before = list_clips(name, directory)
    unknown = video(directory / "Title [unknown_id_].mp4")
    (directory / "nothing.mp4").symlink_to(directory / "gone.mp4")
    (directory / "notes.md").write_text("not media")
    broken = os.fsdecode(os.fsencode(directory) + b"/caf\xe9.mp4")
    with open(broken, "wb"):
        pass
    after = list_clips(name, directory)
    assert after.clips == before.clips
    assert sorted(after.skipped, key=str) == sorted(
        [
            {"path": str(unknown), "reason": "is in no annotation file"},
            {"path": str(directory / "nothing.mp4"), "reason": "is a link to nothing"},
            {"path": broken, "reason": "has a name that is not UTF-8"},
        ],
        key=str,
    )


# Replaces a clip's name in the lists by one that leads out of the directory.
NAMES = {
    "ucf101": r"v_ApplyEyeMakeup_g01_c01(?=\.avi)",
    "hmdb51": r"kick_ball_1(?=\.avi)",
    "kinetics400": r"_zLzFtLN1gA",
    "kinetics400_cvdf": r"_zLzFtLN1gA",
    "esc50": r"1-101-A-0(?=\.wav)",
    "msrvtt": r"(?<=\")video4|video3(?=,)",
    "youcook2": r"_zLzFtLN1gA(?=\")",
    "audioset": r"_zLzFtLN1gA",
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("evil", ["../outside/secret", "/etc/passwd", "..\\\\secret", ".."])
def test_names_in_lists_never_lead_out_of_the_directory(copied, tmp_path, name, evil):
    directory = copied(name)
    before = list_clips(name, directory)
    for suffix in (".mp4", ".avi", ".wav", "_000000_000010.mp4"):
        secret = tmp_path / "outside" / f"secret{suffix}"
        secret.parent.mkdir(exist_ok=True)
        secret.write_bytes(b"x")
    changed = 0
    for path in [p for p in directory.rglob("*") if p.suffix in LISTS]:
        text, number = re.subn(NAMES[name], lambda _: evil, path.read_text())
        path.write_text(text)
        changed += number
    assert changed
    after = list_clips(name, directory)
    assert 0 < len(after.clips) < len(before.clips)
    for clip in after.clips:
        assert clip.path.resolve().is_relative_to(directory)
    reasons = Counter(row["reason"] for row in after.skipped)
    if evil == ".." and name in ("ucf101", "hmdb51", "esc50", "kinetics400", "kinetics400_cvdf"):
        assert reasons["has no media file"] >= 1  # "...avi" is a plain name
    else:
        assert reasons["is not the plain name of a file"] >= 1
