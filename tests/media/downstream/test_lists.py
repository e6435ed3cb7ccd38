"""Lists made on Windows, or lists that are web pages; two files of one clip."""

import codecs

import pytest

from vatt_gh.errors import UserError
from vatt_gh.media.downstream import esc50, hmdb51, kinetics400, msrvtt, ucf101, youcook2
from vatt_gh.media.downstream.to_library import library_of


def test_of_two_clips_of_a_set_the_one_that_can_be_decoded_is_taken(copied):
    directory = copied("ucf101")
    before = {clip.id: clip.path for clip in ucf101.list_clips(directory).clips}
    name, path = next(iter(before.items()))
    other = path.with_suffix(".zmp.mkv").with_name(f"{path.stem}.mkv")
    other.write_bytes(path.read_bytes())
    path.write_bytes(b"broken")
    assert {c.id: c.path for c in ucf101.list_clips(directory).clips} == before | {name: other}


@pytest.mark.parametrize("spoil", ["back-slashes", "line ends", "mark", "utf-16"])
@pytest.mark.parametrize(("name", "module"), [("ucf101", ucf101), ("hmdb51", hmdb51)])
def test_lists_of_a_set_that_were_made_on_windows(copied, name, module, spoil):
    directory = copied(name)
    before = module.list_clips(directory)
    for path in directory.rglob("*.txt"):
        text = path.read_text()
        if spoil == "back-slashes":
            text = text.replace("/", "\\")
        data = text.replace("\n", "\r\n").encode() if spoil == "line ends" else text.encode()
        path.write_bytes(
            {"mark": codecs.BOM_UTF8 + data, "utf-16": text.encode("utf-16")}.get(spoil, data)
        )
    assert module.list_clips(directory) == before


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>a, b, c</body></html>\n"


@pytest.mark.parametrize(
    ("name", "module", "file"),
    [
        ("esc50", esc50, "esc50.csv"),
        ("ucf101", ucf101, "trainlist01.txt"),
        ("kinetics400", kinetics400, "train.csv"),
        ("msrvtt", msrvtt, "MSRVTT_JSFUSION_test.csv"),
        ("youcook2", youcook2, "youcookii_annotations_trainval.json"),
    ],
)
def test_a_web_page_in_the_place_of_a_list_is_named(copied, name, module, file):
    directory = copied(name)
    (path,) = directory.rglob(file)
    path.write_bytes(PAGE)
    with pytest.raises(UserError, match="it is a web page") as caught:
        library_of(directory, module.list_clips(directory), module.LAYOUT)
    assert caught.value.where == str(path)
