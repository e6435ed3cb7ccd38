"""Common to all caption files: order, omissions, encodings, rejections."""

import codecs
import pickle

import pytest

from vatt_gh.media.captions import (
    Caption,
    CaptionFileError,
    encodings,
    overlapping,
    read_captions,
)

SRT = "1\n00:00:01,000 --> 00:00:02,500\n{}\n"


def read(tmp_path, content, name="v.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_captions(path)


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


def test_a_table_in_any_order_of_columns_and_rows(tmp_path):
    content = (
        ",Text, end ,start,score\n"
        '0,"peel it, then cut",9.5,6.25,0.1\n'
        "1,wash the root,4,1.5,0.2\n"
        "2,dry it,5.75,3,0.3\n"  # overlaps, and is kept
    )
    captions, reasons = read(tmp_path, content)
    assert captions == [
        Caption("wash the root", 1.5, 4.0),
        Caption("dry it", 3.0, 5.75),
        Caption("peel it, then cut", 6.25, 9.5),
    ]
    assert reasons == []


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_tables_with_other_delimiters(tmp_path, delimiter):
    content = "start,end,text\r\n0.5,1,a b\r\n".replace(",", delimiter)
    assert read(tmp_path, content)[0] == [Caption("a b", 0.5, 1.0)]


def test_commas_of_an_unquoted_text_at_the_end_stay(tmp_path):
    captions, _ = read(tmp_path, "start,end,text\n0,1,salt, pepper, oil\n")
    assert captions == [Caption("salt, pepper, oil", 0.0, 1.0)]


def test_rows_that_are_no_captions_are_counted_with_the_place_of_the_first(tmp_path):
    rows = [
        "0,1,good",
        "2,1,runs back",
        "soon,2,no number",
        "1,nan,no number",
        "1,inf,no end",
        "3,4,",
        "4,5,...",
        "6",
        "7,8",
        "9,9,at once",
    ]
    captions, reasons = read(tmp_path, "start,end,text\n" + "\n".join(rows) + "\n")
    assert captions == [Caption("good", 0.0, 1.0), Caption("at once", 9.0, 9.0)]
    assert reasons == [
        "left out 1 of its captions, the first at line 3: it ends before it starts",
        "left out 4 of its captions, the first at line 4: its times are not numbers of seconds",
        "left out 2 of its captions, the first at line 7: it holds no word",
        "left out 1 of its captions, the first at line 10: it has no text",
    ]


SAID = "na\u00efve caf\u00e9 \u201cquoted\u201d"


@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (lambda s: s.encode("utf-8"), SAID + " \u6c34"),
        (lambda s: s.encode("utf-8-sig"), SAID),
        (lambda s: codecs.BOM_UTF16_LE + s.encode("utf-16-le"), SAID + " \U0001f600"),
        (lambda s: codecs.BOM_UTF16_BE + s.encode("utf-16-be"), SAID),
        (lambda s: s.encode("cp1252"), SAID),
        (lambda s: s.encode("latin-1"), "na\u00efve caf\u00e9"),
        (
            lambda s: s.encode("latin-1"),
            "wie geht\u00b4s, col\u00b7lecci\u00f3 f\u00fcr",
        ),
        (lambda s: s.replace("\n", "\r\n").encode("cp1252"), SAID),
        (lambda s: s.replace("\n", "\r\r\n").encode(), SAID),
        (lambda s: s.replace("\n", "\r").encode(), SAID),
    ],
)
@pytest.mark.parametrize("form", ["srt", "vtt", "csv", "json"])
def test_encodings_and_line_ends(tmp_path, encode, said, form):
    content = {
        "srt": SRT,
        "vtt": "WEBVTT\n\n00:01.000 --> 00:02.500\n{}\n",
        "csv": "start,end,text\n1,2.5,{}\n",
        "json": '[{{"start": 1,\n"end": 2.5, "text": "{}"}}]',
    }[form]
    captions, reasons = read(tmp_path, encode(content.format(said)), f"v.{form}")
    assert captions == [Caption(said, 1.0, 2.5)]
    assert reasons == []


PICTURE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("v.srt", b"", "is empty"),
        ("v.vtt", codecs.BOM_UTF8 + b" \n", "is empty"),
        ("v.srt", PICTURE, "holds zero bytes: it is no text, or UTF-16 without a mark"),
        ("v.srt", SRT.encode("utf-16-le"), "holds zero bytes: it is no text"),
        ("v.srt", codecs.BOM_UTF16_LE + b"a\x00b", "is not the utf-16"),
        ("v.srt", b"only words\nand lines\n", 'holds no line "START --> END"'),
        ("v.csv", b"one,two,three\n", "has no columns start, end, text"),
        ("v.csv", b"start,end\n0,1\n", "has no columns start, end, text"),
        ("v.csv", b'start,end,text\n0,1,"' + b"x" * 200_000, "is no table near line"),
        ("v.json", b'[{"text": "a", ', "is not JSON: Expecting"),
        ("v.json3", b"<html>not found</html>", "is not JSON: Expecting value"),
        ("v.json", b"[" * 100_000, "is JSON that cannot be read"),
        ("v.json", b'{"title": "x"}', 'is JSON without "events"'),
        ("v.json", b'"hello"', 'is JSON without "events"'),
        ("v.json", b'{"text": ["a"], "start": [1], "end": []}', "has columns text, start, end of"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path, name, content, reason):
    with pytest.raises(CaptionFileError) as caught:
        read(tmp_path, content, name)
    assert caught.value.reason.startswith(reason)
    assert caught.value.path == str(tmp_path / name)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.path, again.reason) == (caught.value.path, caught.value.reason)


def test_a_file_that_is_not_there_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(CaptionFileError, match="cannot be read: No such file"):
        read_captions(tmp_path / "v.srt")
    monkeypatch.setattr(encodings, "MAX_BYTES", 37)
    with pytest.raises(CaptionFileError, match="has more than 37 bytes"):
        read(tmp_path, SRT.format("hello"), "v.srt")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.vtt", "WEBVTT\nKind: captions\n"),
        ("v.csv", "start,end,text\n"),
        ("v.json", '{"text": "", "segments": []}'),
        ("v.json3", '{"events": []}'),
    ],
)
def test_files_in_which_nobody_speaks_are_good(tmp_path, name, content):
    assert read(tmp_path, content, name) == ([], [])
