"""caption.json as a stream, against json.load."""

import io
import json
import re
from pathlib import Path

import pytest
from media.test_caption_index import columns

from vatt_gh.errors import UserError
from vatt_gh.media.captions import howto100m
from vatt_gh.media.captions.howto100m import stream_howto100m


def stream(data):
    return list(stream_howto100m(io.BytesIO(data), Path("c.json")))


def refused(data):
    with pytest.raises(UserError) as caught:
        stream(data)
    return caught.value


CONTENT = {
    "v\u00e9\u6c34": columns(('say "hi" \\ \n', -1.5e-3, 1e2), ("\ud83d half", 0, 7)),
    "": [1.25, float("nan"), float("inf"), -float("inf"), True, None, 123456789012345678901],
    "\U0001f600": "text",
    "number": 12345,
    "nested": {"a": [[], {}, {"b": {}}]},
}


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
def test_the_stream_is_what_json_load_reads(monkeypatch, chunk, indent, ascii_only):
    monkeypatch.setattr(howto100m, "_CHUNK", chunk)
    text = json.dumps(CONTENT, indent=indent, ensure_ascii=ascii_only)
    data = b"\xef\xbb\xbf \r\n" + text.encode("utf-8", "replace") + b"\n\t "
    entries = stream(data)
    expected = json.loads(data.decode("utf-8-sig"))
    assert repr({name: value for name, value, _ in entries}) == repr(expected)
    assert [repr(json.loads(text)) for *_, text in entries] == [
        repr(value) for value in expected.values()
    ]
    assert stream(b" {\n} ") == []


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_a_file_that_is_cut_anywhere_is_refused(monkeypatch, chunk):
    monkeypatch.setattr(howto100m, "_CHUNK", chunk)
    data = json.dumps({"v1": columns(("a \u6c34", 0, 1.5)), "v2": [True, 12]}).encode()
    assert len(stream(data)) == 2
    for end in range(len(data)):
        error = refused(data[:end])
        place = int(re.search(r"at character (\d+)", error.what).group(1))
        # An incomplete token is reported at its beginning.
        assert "it ends too early" in error.what or place >= end - 12
        assert error.where == "c.json"
        assert ("after the captions of 'v" in error.what) == (end >= data.index(b', "v2"'))


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_a_file_that_is_broken_anywhere_is_refused_where_json_load_refuses_it(monkeypatch, chunk):
    monkeypatch.setattr(howto100m, "_CHUNK", chunk)
    good = json.dumps({"v1": columns(("a", 0, 1.5), ("b", 2, 3)), "v2": [12]})
    for place in range(len(good)):
        for character in '#"}]{[,:0 \\\n':
            text = good[:place] + character + good[place + 1 :]
            try:
                expected = repr(json.loads(text, object_pairs_hook=list))
                if not expected.startswith(("[('", '[("', "[]")):
                    continue  # no dictionary
            except json.JSONDecodeError:
                assert "not JSON of the expected form" in refused(text.encode()).what
            else:
                names = [name for name, *_ in stream(text.encode())]
                assert names == [name for name, _ in json.loads(text, object_pairs_hook=list)]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            b'{"v1": [], "v2": [nothing]}',
            "Expecting value, at character 18, after the captions of 'v1'",
        ),
        (
            b'{"v1": [], }',
            "'}' is there instead of \", at character 11, after the captions of 'v1'",
        ),
        (b'{"v1": [] "v2"', "'\"' is there instead of , or }, at character 10"),
        (b'{"v1": []}, 7', "',' follows the dictionary, at character 10"),
        (b'{"v1": "\xe9"}', "byte 8 is not UTF-8"),
        (b'\xef\xbb\xbf{"v1": "\xe9"}', "byte 11 is not UTF-8"),
        (b"\xff\xfe{\x00", "byte 0 is not UTF-8"),
        (b"[1, 2]", "'[' is there instead of {, at character 0."),
        (b"", "it ends too early, at character 0."),
        (b'{"v": ' + b"[" * 100_000, "recursion"),
        (b'{"v": ' + b"1" * 10_000 + b"}", "Exceeds the limit"),
    ],
)
def test_refusals_say_where(data, what):
    error = refused(data)
    assert error.what.startswith("The caption file is not JSON of the expected form: ")
    assert what in error.what
    assert '"VIDEO_ID"' in error.expected
    assert "mend the file" in error.todo


def test_a_quote_that_nothing_closes_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(howto100m, "_CHUNK", 100)
    monkeypatch.setattr(howto100m, "_LONGEST_ENTRY", 1000)
    file = io.BytesIO(b'{"v": "' + b"x" * 100_000)
    with pytest.raises(UserError, match="an entry is longer than 1000 characters, at character 6"):
        list(stream_howto100m(file, Path("c.json")))
    assert file.tell() < 5000
