"""Captions of single videos in records and in the list of omissions."""

import json

import pytest
from media_files import grey, tone, write_media

from tfds_builders.build import build
from tfds_builders.dry_run import dry_run
from tfds_builders.parts import Settings


@pytest.fixture
def corpus(tmp_path):
    videos = tmp_path / "corpus" / "videos"
    videos.mkdir(parents=True)
    pictures = [grey(40 + k, 64, 48) for k in range(50)], [k / 10 for k in range(50)]
    for name in ("own", "both", "broken"):
        write_media(videos / f"{name}.mp4", *pictures, sound=[(0.0, tone(5, 16_000))])
    all_captions = {
        name: {"text": ["from the table"], "start": [1.0], "end": [2.0]}
        for name in ("both", "broken")
    }
    (tmp_path / "corpus" / "caption.json").write_text(json.dumps(all_captions))
    own = "WEBVTT\n\n00:00.500 --> 00:01.500\nHello\n\n00:03.000 --> 00:02.000\nruns back\n"
    (videos / "own.en.vtt").write_text(own)
    (videos / "both.srt").write_text("1\n00:00:02,000 --> 00:00:03,000\nfrom its file\n")
    (videos / "broken.srt").write_text("no cue\n")
    return tmp_path / "corpus"


def test_captions_of_single_videos_are_in_the_records(corpus, small_form, reading, tmp_path):
    data_dir = tmp_path / "records"
    (folder,) = build(
        "howto100m",
        manual_dir=corpus,
        data_dir=data_dir,
        form=small_form,
        settings=Settings(workers=1),
    )
    said = {
        (row["video_id"].decode(), text.decode(), float(start), float(end))
        for row in reading.tfds(folder)
        for text, start, end in zip(
            *(row["captions"][k] for k in ("text", "start", "end")), strict=True
        )
    }
    assert said == {
        ("own", "Hello", 0.5, 1.5),
        ("both", "from its file", 2.0, 3.0),
        ("broken", "from the table", 1.0, 2.0),
    }
    words = json.loads((folder / "words.json").read_text())
    assert words == {"hello": 1, "from": 2, "its": 1, "file": 1, "the": 1, "table": 1}
    rows = [json.loads(line) for line in (data_dir / "skipped.jsonl").read_text().splitlines()]
    assert sorted((row["id"], row["reason"]) for row in rows) == [
        ("broken", 'holds no line "START --> END"'),
        ("own", "left out 1 of its captions, the first at line 6: it ends before it starts"),
    ]


def test_counts_are_of_what_is_in_the_records(small_form, reading, tmp_path):
    """Milliseconds, another video's captions, captions after the end, and an unsupported form."""
    corpus = tmp_path / "corpus"
    (corpus / "captions").mkdir(parents=True)
    (corpus / "videos").mkdir()
    pictures = [grey(40 + k, 64, 48) for k in range(50)], [k / 10 for k in range(50)]
    said = {
        "table.tsv": "start\tend\ttext\n500\t1500\tin milliseconds\n2000\t4500\tand on it goes\n",
        "other.json": json.dumps(
            [{"text": f"of another {k}", "start": 60.5 + k, "duration": 1} for k in range(3)]
        ),
        "late.srt": "".join(f"00:00:0{k},000 --> 00:00:0{k},900\nword {k}\n\n" for k in (1, 3, 7)),
        "unread.lrc": "[00:01.00]words",
    }
    for file, text in said.items():
        (corpus / "captions" / file).write_text(text)
        write_media(corpus / "videos" / f"{file.split('.')[0]}.mp4", *pictures)
    settings = Settings(workers=1)
    seen = dry_run("howto100m", manual_dir=corpus, form=small_form, settings=settings)
    (folder,) = build(
        "howto100m",
        manual_dir=corpus,
        data_dir=tmp_path / "records",
        form=small_form,
        settings=settings,
    )
    captions = {
        (row["video_id"].decode(), text.decode(), round(float(start), 3))
        for row in reading.tfds(folder)
        for text, start in zip(row["captions"]["text"], row["captions"]["start"], strict=True)
    }
    assert captions == {
        ("table", "in milliseconds", 0.5),
        ("table", "and on it goes", 2.0),
        ("late", "word 1", 1.0),
        ("late", "word 3", 3.0),
    }
    rows = (tmp_path / "records" / "skipped.jsonl").read_text().splitlines()
    built = {row.get("path", "").rpartition("/")[2]: row["reason"] for row in map(json.loads, rows)}
    assert built.keys() == said.keys()
    assert built == {row["path"].rpartition("/")[2]: row["reason"] for row in seen.skipped}
    assert seen.captioned == 2
    counts = json.loads((folder / "counts.json").read_text())
    assert (counts["captions"], counts["without captions"]) == (4, 2)
