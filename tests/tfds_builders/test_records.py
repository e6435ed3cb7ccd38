"""The HowTo100M builder: records match the files on disk, and omissions are listed."""

import dataclasses
import io
import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tfds_builders.build import build
from vatt_gh.media.video import read_segments
from vatt_gh.media.words import split_words


@pytest.fixture(scope="module")
def messy_records(messy_corpus, small_form, tmp_path_factory):
    folder = tmp_path_factory.mktemp("messy") / "records"
    (part,) = build("howto100m", manual_dir=messy_corpus, data_dir=folder, form=small_form)
    return part


def obvious_example(video, segment, rows):
    """The expected example, from decoded data and the caption file's own columns."""
    said = [
        row
        for row in sorted(zip(rows["start"], rows["end"], rows["text"], strict=True))
        if row[0] < segment.end and row[1] > segment.start
    ]
    return {
        "video_id": video.encode(),
        "segment": np.int32(segment.index),
        "start": np.float32(segment.start),
        "end": np.float32(segment.end),
        "frame_count": np.int32(len(segment.stored["frames"])),
        "height": np.int32(Image.open(io.BytesIO(segment.stored["frames"][0])).height),
        "width": np.int32(Image.open(io.BytesIO(segment.stored["frames"][0])).width),
        "frames": np.array(segment.stored["frames"], object),
        "audio": segment.stored["audio"],
        "has_audio": len(segment.stored["audio"]) > 0,
        "labels": np.array([], object),
        "captions": {
            "text": np.array([text.encode() for _, _, text in said], object),
            "start": np.array([start for start, _, _ in said], np.float32),
            "end": np.array([end for _, end, _ in said], np.float32),
        },
    }


def test_records_are_what_the_files_hold(messy_records, messy_corpus, small_form, reading):
    captions = json.loads((messy_corpus / "caption.json").read_text())
    expected = {}
    for path in (messy_corpus / "videos").iterdir():
        if path.stem not in ("truncated00", "zerobytes00"):
            rows = captions.get(path.stem, {"text": [], "start": [], "end": []})
            for segment in read_segments(path, small_form):
                example = obvious_example(path.stem, segment, rows)
                expected[example["video_id"], segment.index] = example
    stored = reading.tfds(messy_records)
    keys = [(example["video_id"], int(example["segment"])) for example in stored]
    assert sorted(keys) == sorted(expected)
    reading.assert_same(stored, [expected[key] for key in keys])
    # Segments of a video are consecutive; videos are in random order.
    videos = list(dict.fromkeys(name for name, _ in keys))
    assert keys == sorted(keys, key=lambda key: (videos.index(key[0]), key[1]))
    assert videos != sorted(videos)


def test_the_pipeline_reads_the_same_as_tfds(messy_records, reading):
    reading.assert_same(reading.source(messy_records), reading.tfds(messy_records))


def test_frames_decode_to_pictures_of_the_form(messy_records, small_form):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(messy_records))
    for example in tfds.as_numpy(builder.as_dataset(split="train")):
        count, height, width, channels = example["frames"].shape
        assert (height, width, channels) == (small_form.short_side, 42, 3)
        assert count == round((example["end"] - example["start"]) * small_form.fps)
        assert example["frames"].std() > 0
    stored = {name: builder.info.metadata[name] for name in vars(small_form)}
    assert stored == vars(small_form)


def test_sound_and_captions_that_are_missing_are_so_in_the_records(messy_records, reading):
    by_video = {}
    for example in reading.tfds(messy_records):
        by_video.setdefault(example["video_id"].decode(), []).append(example)
    assert [e["has_audio"] for e in by_video["silentvideo"]] == [False, False]
    assert [len(e["audio"]) for e in by_video["silentvideo"]] == [0, 0]
    text = "Caf\u00e9, 50% off!".encode()
    assert [list(e["captions"]["text"]) for e in by_video["silentvideo"]] == [[text], [text]]
    assert [e["has_audio"] for e in by_video["wordlessone"]] == [True, True]
    assert [len(e["captions"]["text"]) for e in by_video["wordlessone"]] == [0, 0]


def test_what_was_left_out_is_listed_with_its_reason(messy_records, messy_corpus):
    folder = messy_records.parents[2]
    rows = [json.loads(line) for line in (folder / "skipped.jsonl").read_text().splitlines()]
    reasons = {row["id"]: row["reason"] for row in rows}
    assert len(rows) == 3
    assert reasons.keys() == {"truncated00", "zerobytes00", "nosuchvideo"}
    assert reasons["nosuchvideo"] == "has captions but no video file"
    assert reasons["truncated00"].startswith("cannot be decoded")
    assert reasons["zerobytes00"].startswith("cannot be decoded")
    paths = {row["path"] for row in rows if "path" in row}
    names = ("truncated00.mp4", "zerobytes00.mp4")
    assert paths == {str(messy_corpus / "videos" / name) for name in names}
    # Nothing else is left behind: no spool, no incomplete records.
    assert sorted(path.name for path in folder.iterdir()) == [
        ".skipped.jsonl.lock",
        "caption.json.sqlite",
        "caption.json.sqlite.lock",
        "downloads",
        "howto100m",
        "skipped.jsonl",
    ]


def test_word_counts_are_of_the_captions_of_the_records_videos(messy_records, messy_corpus):
    captions = json.loads((messy_corpus / "caption.json").read_text())
    words = Counter()
    for name, rows in captions.items():
        if name != "nosuchvideo":
            for text in rows["text"]:
                words.update(split_words(text))
    stored = json.loads((messy_records / "words.json").read_text(encoding="utf-8"))
    assert stored == words
    assert stored["caf\u00e9"] == 1


def test_many_shards_hold_the_same_records(
    messy_records, messy_corpus, small_form, reading, tmp_path, monkeypatch
):
    # One video per shard: those of the broken videos are empty.
    monkeypatch.setattr("tfds_builders.segments.SHARD_BYTES", 1)
    (other,) = build("howto100m", manual_dir=messy_corpus, data_dir=tmp_path, form=small_form)
    sizes = sorted(path.stat().st_size for path in other.glob("*.tfrecord-*"))
    assert len(sizes) == 7  # an empty file fills no shard
    assert sizes.count(0) == 1
    reading.assert_same(reading.tfds(other), reading.tfds(messy_records))
    reading.assert_same(reading.source(other), reading.tfds(messy_records))


def test_a_list_of_videos_gives_stretches_texts_and_labels(
    messy_corpus, small_form, reading, tmp_path
):
    corpus = tmp_path / "corpus"
    (corpus / "videos").mkdir(parents=True)
    source = messy_corpus / "videos" / "wordlessone.mkv"
    shutil.copy(source, corpus / "film.mkv")
    (corpus / "videos.csv").write_text(
        "video_id,path,start,end,text,label\n"
        "begin,film.mkv,,1,hello there,\n"
        "middle,film.mkv,1.5,3.5,,red|loud\n"
        "all,film.mkv,,,said throughout,\n"
    )
    form = dataclasses.replace(small_form, segment_seconds=1000.0)
    (part,) = build("howto100m", manual_dir=corpus, data_dir=tmp_path / "records", form=form)
    found = {example["video_id"].decode(): example for example in reading.tfds(part)}
    (whole,) = read_segments(source, form)
    for name, first, last in (("begin", 0, 10), ("middle", 15, 35), ("all", 0, 50)):
        example = found[name]
        assert (example["start"], example["end"]) == (first / 10, last / 10)
        assert list(example["frames"]) == whole.stored["frames"][first:last]
        assert len(example["audio"]) == (last - first) * 1600
    assert list(found["middle"]["labels"]) == [b"red", b"loud"]
    assert found["all"]["captions"]["text"].tolist() == [b"said throughout"]
    assert found["all"]["captions"]["end"].tolist() == [5.0]
    assert found["begin"]["captions"]["end"].tolist() == [1.0]
    assert "hello" in json.loads((part / "words.json").read_text())
