"""The reader of the planted truth, on files written by hand."""

import json

import pytest

from vatt_gh.demo.truth import Truth, WindowTruth
from vatt_gh.errors import UserError


def _scene(start, end, shape, **changes):
    look = {"shape": shape, "colour": "red", "motion": "slides"}
    heard = {"sound_shape": shape, "sound_motion": "slides", "sound_aligned": True}
    return {"start": start, "end": end} | look | heard | changes


def _line(start, end, scene, shape, aligned=True):
    said = {"shape": shape, "colour": "red", "motion": "slides"}
    return {"text": shape, "start": start, "end": end, "scene": scene, "aligned": aligned} | said


ROW = {
    "video_id": "aaaaaaaaaaa",
    "duration": 12.0,
    "scenes": [
        _scene(0.0, 6.0, "circle"),
        _scene(6.0, 12.0, "star", sound_shape="ring", sound_aligned=False, colour="blue"),
    ],
    "captions": [
        _line(0.5, 2.0, 0, "circle"),
        _line(3.0, 5.0, 0, "cross", aligned=False),
        _line(7.0, 9.0, 1, "star"),
        _line(8.0, 11.0, 1, "bars", aligned=False),
    ],
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "alignment.jsonl"
    other = ROW | {"video_id": "bbbbbbbbbbb"}
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(other) + "\n")
    return path


@pytest.mark.parametrize(
    ("centre", "shape", "colour", "sound", "caption"),
    [
        (1.0, "circle", "red", True, True),
        (0.0, "circle", "red", True, True),  # before the first caption
        (2.4, "circle", "red", True, True),  # 0.4 s after one, 0.6 s before the next
        (2.6, "circle", "red", True, False),
        (4.0, "circle", "red", True, False),
        (5.99, "circle", "red", True, False),
        (6.9, "star", "blue", False, True),
        (8.2, "star", "blue", False, True),  # inside two captions: the nearer middle, 8.0
        (9.0, "star", "blue", False, False),  # inside two captions: the nearer middle, 9.5
        (14.0, "star", "blue", False, False),  # after the end
    ],
)
def test_window_tells_of_the_scene_and_the_caption_at_its_centre(
    path, centre, shape, colour, sound, caption
):
    window = Truth.load(path).window("aaaaaaaaaaa", centre - 0.8, centre + 0.8)
    assert window == WindowTruth(shape, colour, "slides", sound, caption)


def test_a_caption_of_the_scene_before_does_not_tell_of_this_scene(tmp_path):
    row = ROW | {"captions": [_line(0.5, 5.9, 0, "circle"), _line(9.0, 11.0, 1, "star")]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    truth = Truth.load(tmp_path / "a.jsonl")
    assert truth.window("aaaaaaaaaaa", 5.0, 6.0).caption_aligned
    assert not truth.window("aaaaaaaaaaa", 5.7, 6.7).caption_aligned


def test_accessors(path):
    truth = Truth.load(path)
    assert truth.video_ids == ["aaaaaaaaaaa", "bbbbbbbbbbb"]
    assert truth.scenes("aaaaaaaaaaa") == ROW["scenes"]
    assert truth.captions("bbbbbbbbbbb") == ROW["captions"]


@pytest.mark.parametrize("ask", ["scenes", "captions", "window"])
def test_unknown_id_names_id_and_file(path, ask):
    arguments = (0.0, 1.0) if ask == "window" else ()
    with pytest.raises(KeyError) as caught:
        getattr(Truth.load(path), ask)("zzzzzzzzzzz", *arguments)
    assert "zzzzzzzzzzz" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        '{"video_id": "ccc',
        "",
        "7",
        "[1]",
        '{"duration": 3}',
        json.dumps({key: ROW[key] for key in ("video_id", "scenes")}),
        json.dumps(ROW | {"captions": []}),
        json.dumps(ROW | {"scenes": [1]}),
        json.dumps(ROW | {"scenes": [{"start": 0.0, "end": 1.0}]}),
    ],
)
def test_a_broken_line_is_named(path, broken):
    path.write_text(path.read_text() + broken + "\n" + json.dumps(ROW) + "\n")
    with pytest.raises(UserError) as caught:
        Truth.load(path)
    assert f"{path}, line 3" in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "binary"):
        with pytest.raises(UserError) as caught:
            Truth.load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
