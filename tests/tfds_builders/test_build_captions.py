"""Captions of single videos on their way into records and into the list of what was left out."""

import json

import pytest
from media_files import grey, tone, write_media

from tfds_builders.build import build
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
