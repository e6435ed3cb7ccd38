"""HowTo100M's JSON: indexed once, queried by id."""

import json
import multiprocessing
import os
import pickle
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from vatt_gh.errors import UserError
from vatt_gh.media.captions import Caption, CaptionIndex
from vatt_gh.media.captions import index as caption_index
from vatt_gh.media.captions.cues import to_captions
from vatt_gh.media.words import split_words

ROOT = Path(__file__).parents[2]


def columns(*rows):
    return {name: [row[k] for row in rows] for k, name in enumerate(("text", "start", "end"))}


def write(tmp_path, content):
    path = tmp_path / "caption.json"
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    path.write_bytes(content)
    return path


def said(index, video):
    """The captions of a video, or None."""
    cues = index.cues(video)
    return cues and to_captions(cues)[0]


def load(tmp_path, content):
    """All captions by id, and the skipped entries."""
    index = CaptionIndex.open(write(tmp_path, content), tmp_path / "data" / "captions.sqlite")
    return {video: said(index, video) for video in index.ids()}, list(index.skipped())


def test_captions_come_in_order_of_their_start(tmp_path):
    rows = [("c", 5.5, 6), ("b", 1, 3.25), ("a", 1, 2), ("d", 9, 9)]
    captions, skipped = load(tmp_path, {"v1": columns(*rows), "v0": columns()})
    assert captions == {
        "v0": [],
        "v1": [
            Caption("a", 1.0, 2.0),
            Caption("b", 1.0, 3.25),
            Caption("c", 5.5, 6.0),
            Caption("d", 9.0, 9.0),
        ],
    }
    assert skipped == []


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        [7],
        "text",
        {},
        {"text": ["a"], "start": [1]},
        {"text": ["a"], "start": [1], "end": []},
        {"text": ["a"], "start": ["soon"], "end": [2]},
        {"text": ["a"], "start": [None], "end": [2]},
        {"text": ["a"], "start": [float("nan")], "end": [2]},
        {"text": ["a"], "start": [1], "end": [float("inf")]},
        {"text": ["a"], "start": [1], "end": [10**400]},
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
    assert '"text"' in skipped[0]["reason"] or "the first at row 1:" in skipped[0]["reason"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("bad", float("nan"), 2), "its times are not numbers of seconds"),
        (("bad", 1, None), "its times are not numbers of seconds"),
        (("bad", 1.01, 1), "it ends before it starts"),
        ((None, 1, 2), "it has no text"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_row_alone_is_left_out_and_named(tmp_path, row, problem, place):
    rows = [("one", 0, 1), ("two", 2, 3)]
    rows.insert(place, row)
    captions, skipped = load(tmp_path, {"v": columns(*rows)})
    assert captions == {"v": [Caption("one", 0.0, 1.0), Caption("two", 2.0, 3.0)]}
    reason = f"left out 1 of its captions, the first at row {place + 1}: {problem}"
    assert skipped == [{"id": "v", "reason": reason}]


def test_captions_without_a_word_are_no_captions(tmp_path):
    # They would be candidates, hence positives, without content.
    rows = [("", 0, 1), (" ", 1, 2), ("...", 2, 3), ("[ - ]", 3, 4), ("It's 5!", 4, 5)]
    captions, skipped = load(tmp_path, {"v": columns(*rows)})
    assert captions == {"v": [Caption("It's 5!", 4.0, 5.0)]}
    assert skipped == []


def test_texts_and_ids_keep_every_character(tmp_path):
    # JSON can hold half an emoji, from a truncated caption; UTF-8 and SQLite cannot.
    content = (
        '{"v": {"text": ["caf\u00e9 \\ud83d", "\\ud83d\\ude00 x"], "start": [0, 1], "end": [1, 2]},'
    )
    content += '"\\udc80": {"text": [], "start": [], "end": []}, "a\\u0000\u6c34": 3}'
    captions, skipped = load(tmp_path, content.encode())
    assert [row.text for row in captions["v"]] == ["caf\u00e9 ?", "\U0001f600 x"]
    assert captions["\udc80"] == []
    assert [row["id"] for row in skipped] == ["a\0\u6c34"]


def test_of_an_id_that_comes_twice_the_last_counts_as_in_json_load(tmp_path):
    one, two = json.dumps(columns(("one", 0, 1))), json.dumps(columns(("two", 0, 1)))
    content = f'{{"v": {one}, "w": {one}, "v": {two}, "w": 3}}'.encode()
    captions, skipped = load(tmp_path, content)
    assert captions == {"v": [Caption("two", 0.0, 1.0)]}
    twice = "is in the caption file twice; what comes first was left out"
    assert skipped[:2] == [{"id": "v", "reason": twice}, {"id": "w", "reason": twice}]
    assert [row["id"] for row in skipped] == ["v", "w", "w"]


def test_ids_that_are_not_there_and_ids_that_look_like_paths(tmp_path):
    names = ["../../etc/passwd", "/etc/passwd", "-Qw4w9WgXcQ", "a'; DROP TABLE captions; --", ""]
    content = dict.fromkeys(names, columns(("a", 0, 1)))
    index = CaptionIndex.open(write(tmp_path, content), tmp_path / "data" / "i.sqlite")
    assert list(index.ids()) == sorted(names)
    for name in names:
        assert name in index
        assert said(index, name) == [Caption("a", 0.0, 1.0)]
    assert "b" not in index
    assert said(index, "b") is None
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["i.sqlite", "i.sqlite.lock"]


@pytest.mark.parametrize("state", ["missing", "a directory", "broken"])
def test_a_caption_file_that_cannot_be_indexed_leaves_nothing(tmp_path, state):
    source = tmp_path / "caption.json"
    if state == "a directory":
        source.mkdir()
    elif state == "broken":
        source.write_text('{"v": ')
    with pytest.raises(UserError) as caught:
        CaptionIndex.open(source, tmp_path / "data" / "i.sqlite")
    assert caught.value.where == str(source)
    assert not list((tmp_path).glob("data/*sqlite"))
    assert not list((tmp_path).glob("data/.*partial"))


def test_an_index_is_built_once_and_again_when_the_file_changes(tmp_path):
    path = tmp_path / "data" / "i.sqlite"
    source = write(tmp_path, {"a": columns(("one", 0, 1))})
    CaptionIndex.open(source, path)
    first = path.stat()
    assert said(CaptionIndex.open(source, path), "a") == [Caption("one", 0.0, 1.0)]
    assert path.stat().st_ino == first.st_ino and path.stat().st_mtime_ns == first.st_mtime_ns

    time = source.stat().st_mtime_ns
    write(tmp_path, {"a": columns(("four", 0, 1))})  # another size
    os.utime(source, ns=(time, time))
    assert said(CaptionIndex.open(source, path), "a") == [Caption("four", 0.0, 1.0)]

    write(tmp_path, {"a": columns(("five", 0, 1))})  # only another time
    os.utime(source, ns=(time, time + 1))
    assert said(CaptionIndex.open(source, path), "a") == [Caption("five", 0.0, 1.0)]


@pytest.mark.parametrize("other", [b"", b"no index at all", b"SQLite format 3\0" + b"x" * 5000])
def test_another_file_with_the_name_of_the_index_is_replaced(tmp_path, other):
    path = tmp_path / "i.sqlite"
    path.write_bytes(other)
    index = CaptionIndex.open(write(tmp_path, {"a": columns(("one", 0, 1))}), path)
    assert said(index, "a") == [Caption("one", 0.0, 1.0)]


def test_an_index_of_another_format_is_built_anew(tmp_path, monkeypatch):
    path = tmp_path / "i.sqlite"
    source = write(tmp_path, {"a": columns(("one", 0, 1))})
    CaptionIndex.open(source, path)
    before = path.stat().st_ino, path.stat().st_mtime_ns
    monkeypatch.setattr("vatt_gh.media.captions.index._FORMAT", caption_index._FORMAT + 1)
    CaptionIndex.open(source, path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) != before


KILLED = """
import os, signal, sys
from pathlib import Path
from vatt_gh.media.captions import CaptionIndex, index
insert = index._insert
def insert_or_die(connection, name, content, text):
    if name == "v500":
        connection.execute("PRAGMA cache_spill = ON")
        connection.execute("COMMIT")  # so that the partial file holds rows
        os.kill(os.getpid(), signal.SIGKILL)
    insert(connection, name, content, text)
index._insert = insert_or_die
CaptionIndex.open(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def run(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_build_that_is_killed_leaves_no_index_and_the_next_one_is_whole(tmp_path):
    source = write(tmp_path, {f"v{k}": columns((f"word {k}", 0, 1)) for k in range(1000)})
    path = tmp_path / "i.sqlite"
    assert run(KILLED, source, path).returncode == -9
    assert not path.exists()
    assert (tmp_path / ".i.sqlite.partial").stat().st_size > 10_000
    index = CaptionIndex.open(source, path)
    assert len(list(index.ids())) == 1000
    assert said(index, "v999") == [Caption("word 999", 0.0, 1.0)]
    assert not (tmp_path / ".i.sqlite.partial").exists()


def raised(error):
    def act(*_):
        raise error

    return act


FULL = """
import resource, sys
from pathlib import Path
from vatt_gh.errors import UserError
from vatt_gh.media.captions import CaptionIndex
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    CaptionIndex.open(Path(sys.argv[1]), Path(sys.argv[2]))
except UserError as error:
    print(error)
"""


def test_a_disk_without_room_and_a_place_that_is_no_directory(tmp_path):
    source = write(tmp_path, {f"v{k}": columns(("word " * 50, 0, 1)) for k in range(5000)})
    path = tmp_path / "i.sqlite"
    answer = run(FULL, source, path)
    assert "The index of the captions cannot be written" in answer.stdout, answer.stderr
    assert str(path) in answer.stdout and "free some space" in answer.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["caption.json", "i.sqlite.lock"]
    full = sqlite3.OperationalError("database or disk is full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vatt_gh.media.captions.index._build", raised(full))
        with pytest.raises(UserError, match="The disk is full"):
            CaptionIndex.open(source, path)
    with pytest.raises(UserError, match="cannot be written") as caught:
        CaptionIndex.open(source, source / "i.sqlite")
    assert caught.value.where == str(source / "i.sqlite")


def open_and_ask(arguments):
    source, path = arguments
    index = CaptionIndex.open(source, path)
    return path.stat().st_ino, [said(index, f"v{k}") for k in range(0, 2000, 100)]


def ask(index):
    return said(index, "v7"), sorted(index.ids())[:2], "v8" in index, "w" in index


def test_processes_that_open_at_once_build_once_and_a_pickled_index_works(tmp_path):
    content = {f"v{k}": columns((f"word {k}", k, k + 1)) for k in range(2000)}
    source, path = write(tmp_path, content), tmp_path / "i.sqlite"
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = list(pool.map(open_and_ask, [(source, path)] * 6))
        index = CaptionIndex.open(source, path)
        assert pool.submit(ask, index).result() == ask(index)
    expected = [[Caption(f"word {k}", k, k + 1)] for k in range(0, 2000, 100)]
    assert answers == [(path.stat().st_ino, expected)] * 6
    assert pickle.loads(pickle.dumps(index)) == index


MEMORY = """
import resource, sys
from pathlib import Path
from vatt_gh.media.captions import CaptionIndex
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = used()
index = CaptionIndex.open(Path(sys.argv[1]), Path(sys.argv[2]))
count = sum(1 for _ in index.ids())
print(count, len(index.cues("v7")), used() - before)
"""


def test_memory_stays_flat_and_captions_are_those_of_json_load(tmp_path):
    # Entries as in HowTo100M: a hundred captions of ten words.
    text = " ".join(["whittle"] * 10)
    rows = columns(*[(f"{text} {k}", k * 2.5, k * 2.5 + 4.125) for k in range(100)])
    entry = json.dumps(rows)
    source = tmp_path / "caption.json"
    with source.open("w") as file:
        file.write("{")
        file.writelines(f'"v{k}": {entry},\n' for k in range(5000))
        file.write(f'"last": {entry}}}')
    assert source.stat().st_size > 50e6
    answer = run(MEMORY, source, tmp_path / "i.sqlite")
    count, captions, grown = map(int, answer.stdout.split())
    assert (count, captions) == (5001, 100), answer.stderr
    assert grown < 15e6
    slow = [Caption(*row) for row in zip(*json.loads(entry).values(), strict=True)]
    assert all(split_words(row.text) for row in slow)
    index = CaptionIndex.open(source, tmp_path / "i.sqlite")
    assert said(index, "last") == said(index, "v1234") == slow
