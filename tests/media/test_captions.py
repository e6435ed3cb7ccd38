"""Captions in HowTo100M's form: what is read, what is left out, and what is refused."""

import json

import pytest

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption, load_howto100m, overlapping


def load(tmp_path, content):
    path = tmp_path / "caption.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return load_howto100m(path)


def columns(*rows):
    return {name: [row[k] for row in rows] for k, name in enumerate(("text", "start", "end"))}


def test_captions_come_in_order_of_their_start(tmp_path):
    rows = [("c", 5.5, 6), ("b", 1, 3.25), ("a", 1, 2), ("d", 9, 9)]
    captions, skipped = load(tmp_path, {"v1": columns(*rows), "v0": columns()})
    assert captions == {
        "v1": [
            Caption("a", 1.0, 2.0),
            Caption("b", 1.0, 3.25),
            Caption("c", 5.5, 6.0),
            Caption("d", 9.0, 9.0),
        ],
        "v0": [],
    }
    assert skipped == []


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        [],
        "text",
        {},
        {"text": ["a"], "start": [1]},
        {"text": ["a"], "start": [1], "end": []},
        {"text": ["a"], "start": ["soon"], "end": [2]},
        {"text": ["a"], "start": [None], "end": [2]},
        {"text": ["a"], "start": [float("nan")], "end": [2]},
        {"text": ["a"], "start": [3], "end": [2]},
        {"text": "ab", "start": [1, 2], "end": [2, 3]},  # not captions of one letter
        {"text": [None], "start": [1], "end": [2]},  # not the word "none"
        {"text": [float("nan")], "start": [1], "end": [2]},
        {"text": 5, "start": 1, "end": 2},
    ],
)
def test_a_video_with_broken_captions_is_left_out_and_named(tmp_path, broken):
    captions, skipped = load(tmp_path, {"bad": broken, "good": columns(("a", 1, 2))})
    assert captions == {"good": [Caption("a", 1.0, 2.0)]}
    assert [row["id"] for row in skipped] == ["bad"]
    assert '"text"' in skipped[0]["reason"]


def test_captions_without_a_word_are_no_captions(tmp_path):
    # They would be candidates, hence positives, that say nothing.
    rows = [("", 0, 1), (" ", 1, 2), ("...", 2, 3), ("[ - ]", 3, 4), ("It's 5!", 4, 5)]
    captions, skipped = load(tmp_path, {"v": columns(*rows)})
    assert captions == {"v": [Caption("It's 5!", 4.0, 5.0)]}
    assert skipped == []


def test_texts_keep_every_character_that_utf_8_has(tmp_path):
    # JSON can hold half of an emoji, where something cut a caption; UTF-8 cannot.
    path = tmp_path / "caption.json"
    path.write_text('{"v": {"text": ["caf\u00e9 \\ud83d", "\\ud83d\\ude00 x"],')
    path.write_text(path.read_text() + ' "start": [0, 1], "end": [1, 2]}}')
    captions, _ = load_howto100m(path)
    assert [row.text for row in captions["v"]] == ["caf\u00e9 ?", "\U0001f600 x"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"v": {"text": ["a"], ', "The caption file is not JSON"),
        (b"", "The caption file is not JSON"),
        (b"\xff\xfe\x00{}", "The caption file is not JSON"),
        (b"[1, 2]", "The caption file holds a list, not a dictionary"),
        (b'"text"', "The caption file holds a str, not a dictionary"),
        (None, "The caption file cannot be read"),  # a directory
    ],
)
def test_a_file_of_another_form_is_refused_by_name(tmp_path, content, what):
    path = tmp_path / "caption.json"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_howto100m(path)
    assert caught.value.what.startswith(what)
    assert caught.value.where == str(path)
    assert '"VIDEO_ID"' in caught.value.expected
    assert "mend the file" in caught.value.todo


def test_overlapping_is_any_common_time():
    captions = [Caption(f"{k}", k, k + 1.5) for k in range(6)]
    for start, end in ((2.0, 4.0), (0.0, 0.1), (1.5, 1.6), (7.0, 9.0), (-2.0, 0.0)):
        expected = [
            row
            for row in captions
            if any(row.start < start + (end - start) * k / 1000 < row.end for k in range(1, 1000))
        ]
        assert overlapping(captions, start, end) == expected
    assert [row.text for row in overlapping(captions, 2.0, 4.0)] == ["1", "2", "3"]
