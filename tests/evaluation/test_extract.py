"""Extracted vectors: against those of built records, after interruptions, and among bad files."""

import json
import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorflow as tf
from evaluation.extraction import extracted, make_run, rows
from media_files import grey, write_media
from tiny_run import run_in_two

import vatt_gh
from tfds_builders.build import build_for
from vatt_gh.data.records import open_source
from vatt_gh.data.segments import window_places
from vatt_gh.data.sources import find_or_build
from vatt_gh.data.windows import wordless_windows
from vatt_gh.errors import UserError
from vatt_gh.evaluation import extract as module
from vatt_gh.evaluation.search import search
from vatt_gh.evaluation.vectors import Vectors
from vatt_gh.locks import claimed

README = Path(__file__).parents[2] / "README.md"


def test_good_files_are_embedded_and_bad_ones_named(vectors, films):
    outcome, to = vectors
    assert set(outcome.failed) == {"broken.mp4", "lost.mp4"}
    assert all(outcome.failed.values())
    assert outcome.files == 5
    seen = {video for video, _ in rows(to, "video", "features")}
    heard = {video for video, _ in rows(to, "audio", "features")}
    assert seen == {"one.mp4", "more/one.mp4", "silent.mp4", "upright.mkv"}
    assert heard == {"one.mp4", "more/one.mp4", "upright.mkv", "song.wav"}
    listed = {row["video_id"]: row for row in Vectors(to).files()}
    assert outcome.windows == sum(row["windows"] for row in listed.values())
    # 23 frames in windows of 4: five, and one that ends with the video.
    assert [round(s, 1) for v, s in rows(to, "video", "features") if v == "upright.mkv"] == [
        0.0,
        0.4,
        0.8,
        1.2,
        1.6,
        1.9,
    ]


def test_two_processes_embed_every_file_once(run, vectors, films, tmp_path):
    config = run[0].copy_and_resolve_references()
    config.mode = "extract"
    config.extract.update(videos=str(films), to=str(tmp_path))
    run_in_two(config, run[1])
    listed = [row["video_id"] for row in Vectors(tmp_path).files()]
    assert sorted(listed) == sorted(row["video_id"] for row in Vectors(vectors[1]).files())
    assert {p.name.split("-")[1] for p in tmp_path.glob("shard-*.json")} == {"0", "1"}
    for modality, column in (("video", "video_to_text"), ("audio", "features")):
        mine, expected = (rows(to, modality, column) for to in (tmp_path, vectors[1]))
        assert mine.keys() == expected.keys()
        for place, vector in expected.items():
            np.testing.assert_allclose(mine[place], vector, atol=2e-5)


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_vectors_are_those_of_records_built_from_the_same_files(
    run, vectors, small_corpus, tmp_path, modality
):
    config = run[0].copy_and_resolve_references()
    config.data.update(manual_dir=str(small_corpus), data_dir=str(tmp_path))
    source = open_source(find_or_build(config.data, build_for))
    embedder = vatt_gh.load(run[1])
    embed = jax.jit(embedder.model.embed)
    name = {"video": "video_to_text", "audio": "audio_to_video"}[modality]
    found, compared = rows(vectors[1], modality, name), 0
    video = sorted((small_corpus / "videos").glob("*.mp4"))[0].stem
    for record in tf.data.Dataset.range(source.count).map(source.read):
        if record["video_id"].numpy().decode() != video:
            continue
        firsts = tf.constant(window_places(int(record["frame_count"]), 4, 4))
        windows = wordless_windows(record, firsts, source, config.data)
        inputs = {m: windows[m].numpy() for m in ("video", "audio")}
        embedded = embed(*embedder.weights, inputs)[1][name]
        for start, vector in zip(windows["start"].numpy(), np.asarray(embedded), strict=True):
            expected = vector / np.linalg.norm(vector)
            mine = found["one.mp4", round(float(start), 3)]
            np.testing.assert_allclose(mine, expected, atol=2e-5)
            compared += 1
    assert compared > 20


def test_an_interrupted_extraction_continues(run, films, vectors, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARD_FILES", 1)
    write, calls = Vectors.write, []

    def interrupted(self, *arguments):
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(self, *arguments)

    monkeypatch.setattr(Vectors, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extracted(run, films, tmp_path / "to")
    assert 0 < len(Vectors(tmp_path / "to").files()) < 7
    # As a process leaves it that is killed between its Parquet and its JSON file.
    for number in range(2, 9):
        for modality in ("video", "audio"):
            stale = tmp_path / "to" / f"{modality}-0-{number:05d}.parquet"
            shutil.copy(next((vectors[1]).glob(f"{modality}-*.parquet")), stale)
    outcome = extracted(run, films, tmp_path / "to")
    assert outcome.files == vectors[0].files and outcome.windows == vectors[0].windows
    for modality in ("video", "audio"):
        mine, whole = (rows(to, modality, "features") for to in (tmp_path / "to", vectors[1]))
        assert mine.keys() == whole.keys()
        for key in mine:
            np.testing.assert_allclose(mine[key], whole[key], atol=1e-5)
    names = {row["video_id"] for row in Vectors(tmp_path / "to").files()}
    written = []
    monkeypatch.setattr(
        Vectors,
        "write",
        lambda self, w, files, *more: (written.extend(files), write(self, w, files, *more)),
    )
    assert extracted(run, films, tmp_path / "to").windows == outcome.windows
    # Nothing is embedded twice; what could not be read is tried again.
    assert {row["video_id"] for row in written} == {"broken.mp4", "lost.mp4"} < names


def test_a_changed_file_and_a_mended_one_are_embedded_anew(run, films, tmp_path):
    folder, to = tmp_path / "films", tmp_path / "to"
    shutil.copytree(films, folder, symlinks=True)
    before = extracted(run, folder, to)
    kept = rows(to, "video", "features")
    shutil.copy(folder / "more" / "one.mp4", folder / "broken.mp4")
    write_media(folder / "silent.mp4", [grey(30, 64, 48)] * 9, [k / 10 for k in range(9)])
    (folder / "lost.mp4").unlink()
    os.symlink(folder / "upright.mkv", folder / "lost.mp4")
    after = extracted(run, folder, to)
    assert set(before.failed) == {"broken.mp4", "lost.mp4"} and after.failed == {}
    found = rows(to, "video", "features")
    assert {v for v, _ in found} == {v for v, _ in kept} | {"broken.mp4", "lost.mp4"}
    assert sorted(s for v, s in found if v == "silent.mp4") == [0.0, 0.4, 0.5]
    windows = sum(len(block.start) for block in Vectors(to).blocks("video", "features"))
    assert windows == len(found)  # no old row is left
    for key, vector in kept.items():
        if key[0] != "silent.mp4":
            np.testing.assert_array_equal(found[key], vector)


def test_any_shard_may_be_deleted_and_is_made_again(run, films, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARD_FILES", 2)
    whole = extracted(run, films, tmp_path / "to")
    everything = rows(tmp_path / "to", "video", "features")
    shards = sorted((tmp_path / "to").glob("shard-*.json"))
    assert len(shards) > 2
    shards[1].unlink()
    again = extracted(run, films, tmp_path / "to")
    assert (again.files, again.windows) == (whole.files, whole.windows)
    found = rows(tmp_path / "to", "video", "features")
    assert found.keys() == everything.keys()


def test_a_name_that_is_no_text_is_listed(run, films, tmp_path, capsys):
    folder = tmp_path / "films"
    folder.mkdir()
    shutil.copy(films / "upright.mkv", folder)
    (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"")
    outcome = extracted(run, folder, tmp_path / "to")
    assert outcome.files == 1 and list(outcome.failed) == ["caf?.mp4"]
    assert "caf?.mp4 has a name that is not UTF-8" in capsys.readouterr().out


def test_python_gives_the_same_vectors_as_the_files(run, films, vectors):
    embedder = vatt_gh.load(run[1])
    video = embedder.embed_video(films / "upright.mkv")
    found = rows(vectors[1], "video", "video_to_text")
    for start, vector in zip(video.start, video.embeddings["video_to_text"], strict=True):
        key = ("upright.mkv", round(float(start), 3))
        np.testing.assert_allclose(vector, found[key], atol=1e-5)
    song = embedder.embed_audio(films / "song.wav")
    found = rows(vectors[1], "audio", "audio_to_video")
    for start, vector in zip(song.start, song.embeddings["audio_to_video"], strict=True):
        np.testing.assert_allclose(vector, found["song.wav", round(float(start), 3)], atol=1e-5)
    texts = embedder.embed_text(["word1 word2", "word3"] * 5)
    assert texts.shape == (10, 12)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(texts[0], texts[2], atol=1e-6)
    assert np.abs(texts[0] - texts[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "what"), [("broken.mp4", "cannot be embedded"), ("gone.mp4", "cannot be embedded")]
)
def test_a_file_that_cannot_be_read_is_named(run, films, name, what):
    with pytest.raises(UserError, match=what) as raised:
        vatt_gh.load(run[1]).embed_video(films / name)
    assert name in str(raised.value)


def test_silence_is_no_sound(run, films):
    with pytest.raises(UserError, match="no sound to embed"):
        vatt_gh.load(run[1]).embed_audio(films / "silent.mp4")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="not the work directory of a run"):
        vatt_gh.load(tmp_path)


def test_vectors_of_another_checkpoint_or_step_are_not_mixed(run, films, vectors, tmp_path):
    before = sorted(p.name for p in vectors[1].iterdir())
    with pytest.raises(UserError, match="holds other vectors") as raised:
        extracted(run, films, vectors[1], every=0.2)
    assert "every" in str(raised.value)
    other = make_run(tmp_path / "other", seed=1), tmp_path / "other"
    with pytest.raises(UserError, match="holds other vectors") as raised:
        extracted(other, films, vectors[1])
    assert "weights" in str(raised.value)
    config = other[0]
    config.extract.to, config.search.query = str(vectors[1]), "word1"
    with pytest.raises(UserError, match="another checkpoint"):
        search(config, other[1])
    assert sorted(p.name for p in vectors[1].iterdir()) == before


def test_two_extractions_at_once_are_refused(run, films, tmp_path):
    with claimed(tmp_path / "to" / ".lock-0") as free:
        assert free
        with pytest.raises(UserError, match="Another process writes"):
            extracted(run, films, tmp_path / "to")


def test_an_empty_folder_is_refused(run, tmp_path):
    (tmp_path / "films").mkdir()
    with pytest.raises(UserError, match="no video and no sound"):
        extracted(run, tmp_path / "films", tmp_path / "to")


def test_a_damaged_shard_is_named(run, films, vectors, tmp_path):
    shutil.copytree(vectors[1], tmp_path / "to")
    (shard,) = (tmp_path / "to").glob("video-*-00001.parquet")
    shard.write_bytes(shard.read_bytes()[:500])
    with pytest.raises(UserError, match="cannot be read") as raised:
        list(Vectors(tmp_path / "to").blocks("video", "features"))
    assert shard.name in str(raised.value)
    index = shard.name.replace("video", "shard").replace(".parquet", ".json")
    assert index in str(raised.value)
    (tmp_path / "to" / index).unlink()
    assert extracted(run, films, tmp_path / "to").windows == vectors[0].windows
    mine, whole = (rows(to, "video", "features") for to in (tmp_path / "to", vectors[1]))
    assert mine.keys() == whole.keys()


@pytest.mark.parametrize("count", [1, 4, 5, 7, 8, 40])
@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_windows_cover_a_segment(count, step):
    places = window_places(count, 4, step)
    assert places == sorted(set(places)) and places[0] == 0
    if step <= 4:
        assert {f for p in places for f in range(p, p + 4)} >= set(range(count))
    assert all(p + 4 <= max(count, 4) for p in places)


def test_the_files_of_a_shard_are_listed_once(vectors):
    names = [row["video_id"] for row in Vectors(vectors[1]).files()]
    assert len(names) == len(set(names)) == 7
    about = json.loads((vectors[1] / "extraction.json").read_text())
    assert about["storage"] == "jpeg" and about["fps"] == 10.0


def test_the_example_of_the_readme(run, films, tmp_path, monkeypatch):
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
        if "vatt_gh.load" in block
    )
    (tmp_path / "work").mkdir()
    os.symlink(run[1], tmp_path / "work" / "demo")
    os.symlink(films / "one.mp4", tmp_path / "film.mp4")
    monkeypatch.chdir(tmp_path)
    *first, last = code.strip().splitlines()
    variables = {}
    exec("\n".join(first), variables)
    cosines = eval(last, variables)
    assert cosines.shape[1] == 1 and len(cosines) > 20
    assert np.all(np.abs(cosines) <= 1 + 1e-5)
