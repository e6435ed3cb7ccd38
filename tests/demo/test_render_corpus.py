"""The rendered corpus: the contents of its files, which depend only on its arguments."""

import csv
import json
import re
import subprocess
import sys

import av
import numpy as np
import pytest

from vatt_gh.demo.corpus import render_corpus
from vatt_gh.demo.picture import RGB
from vatt_gh.demo.scenes import MOTIONS, SHAPES
from vatt_gh.demo.sound import synthesise
from vatt_gh.demo.truth import Truth
from vatt_gh.media.library import scan


def test_workers_do_not_change_the_corpus(corpus, tools, tmp_path):
    render_corpus(tmp_path / "again", tools.spec, workers=2)
    assert tools.tables(tmp_path / "again") == tools.tables(corpus)
    assert tools.decoded(tmp_path / "again") == tools.decoded(corpus)


def test_another_seed_gives_another_corpus(corpus, tools, tmp_path):
    render_corpus(tmp_path / "other", tools.changed(seed=6, videos=1), workers=1)
    ((_, (picture, sound)),) = tools.decoded(tmp_path / "other").items()
    known = tools.decoded(corpus)
    assert not known.keys() & tools.decoded(tmp_path / "other").keys()
    assert picture not in {digests[0] for digests in known.values()}
    assert sound not in {digests[1] for digests in known.values()}


def test_contents_of_fresh_memory_do_not_change_the_video(tools, tmp_path, monkeypatch):
    # With glibc, all fresh memory of the workers is filled with this byte. This video came out
    # differently while the encoder read uninitialised memory.
    spec = tools.changed(seed=2, videos=1, min_seconds=12.0, max_seconds=16.0)
    for byte in ("1", "255"):
        monkeypatch.setenv("MALLOC_PERTURB_", byte)
        render_corpus(tmp_path / byte, spec, workers=1)
    assert tools.decoded(tmp_path / "1") == tools.decoded(tmp_path / "255")


def test_files_have_the_size_rates_and_length_asked_for(corpus, tools):
    truth = _rows(corpus)
    assert len(truth) == tools.spec.videos
    for row in truth:
        assert re.fullmatch(r"[A-Za-z0-9_-]{11}", row["video_id"])
        with av.open(str(corpus / "videos" / f"{row['video_id']}.mp4")) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
            assert (video.width, video.height, video.average_rate) == (96, 72, 10)
            assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", 16_000, 1)
            times = [float(frame.time) for frame in container.decode(video=0)]
        assert times == pytest.approx(np.arange(round(row["duration"] * 10)) / 10)
        sound = _sound(corpus, row["video_id"])
        assert len(sound) / 16_000 == pytest.approx(row["duration"], abs=0.15)
        for scene in row["scenes"]:
            heard = sound[int(scene["start"] * 16_000) : int(scene["end"] * 16_000)]
            assert np.sqrt(np.mean(heard**2)) > 0.01


def test_other_sizes_and_rates(tools, tmp_path):
    spec = tools.changed(
        videos=1, width=128, height=80, fps=12, audio_rate=48_000, min_seconds=4, max_seconds=5
    )
    render_corpus(tmp_path / "c", spec, workers=1)
    (path,) = (tmp_path / "c" / "videos").iterdir()
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.average_rate) == (128, 80, 12)
        assert audio.rate == 48_000


def test_tables_agree_and_the_reader_of_user_directories_takes_them(corpus):
    rows = {row["video_id"]: row for row in _rows(corpus)}
    library = scan(corpus)
    assert [name for name, _ in library.videos] == sorted(rows)
    assert library.skipped == []
    for name, captions in library.captions.items():
        planted = [(line["text"], line["start"], line["end"]) for line in rows[name]["captions"]]
        assert [tuple(caption) for caption in captions] == planted
    with (corpus / "HowTo100M_v1.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert list(listed[0]) == ["video_id", "category_1", "category_2", "rank", "task_id"]
    assert [row["video_id"] for row in listed] == list(rows)


def test_picture_and_sound_of_a_scene_are_at_its_time(corpus):
    # Ten of each class, because every voice has its own pitch within a few per cent.
    centroids = {
        (shape, motion): np.mean([_spectrum(_voice(shape, motion, k)) for k in range(10)], axis=0)
        for shape in SHAPES
        for motion in MOTIONS
    }
    seen, heard = [], []
    for row in _rows(corpus):
        sound = _sound(corpus, row["video_id"])
        frames = _frames(corpus, row["video_id"])
        for scene in row["scenes"]:
            frame = frames[round((scene["start"] + scene["end"]) / 2 * 10)]
            seen.append(_colour(frame) == scene["colour"])
            clip = sound[int(scene["start"] * 16_000) + 1_600 :][:38_400]
            spectrum = _spectrum(clip)
            near = min(centroids, key=lambda k: np.sum((centroids[k] - spectrum) ** 2))
            heard.append(near == (scene["sound_shape"], scene["sound_motion"]))
    assert len(seen) >= 8
    assert np.mean(seen) == 1.0
    assert np.mean(heard) > 0.7  # chance: 1 in 32


def test_both_kinds_of_noise_are_planted_and_zero_plants_none(corpus, tools, tmp_path):
    render_corpus(tmp_path / "clean", tools.changed(caption_noise=0.0, sound_noise=0.0), workers=2)
    for folder, expected in ((corpus, {True, False}), (tmp_path / "clean", {True})):
        rows = _rows(folder)
        assert {scene["sound_aligned"] for row in rows for scene in row["scenes"]} == expected
        assert {line["aligned"] for row in rows for line in row["captions"]} == expected


def test_truth_reads_what_was_rendered(corpus):
    truth = Truth.load(corpus / "alignment.jsonl")
    assert truth.video_ids == [row["video_id"] for row in _rows(corpus)]
    for name in truth.video_ids:
        for scene in truth.scenes(name):
            window = truth.window(name, scene["start"] + 0.5, scene["end"] - 0.5)
            assert window[:3] == (scene["shape"], scene["colour"], scene["motion"])
            assert window.sound_aligned == scene["sound_aligned"]


def test_workers_import_neither_tensorflow_nor_jax(tools):
    code = (
        "import sys, vatt_gh.demo.corpus, vatt_gh.demo.truth;"
        "print({'tensorflow', 'jax', 'tensorflow_datasets'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=tools.environment,
    )
    assert done.stdout.strip() == "set()"


def _rows(folder):
    return [json.loads(line) for line in (folder / "alignment.jsonl").read_text().splitlines()]


def _sound(folder, name):
    with av.open(str(folder / "videos" / f"{name}.mp4")) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def _frames(folder, name):
    with av.open(str(folder / "videos" / f"{name}.mp4")) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _voice(shape, motion, seed):
    return synthesise(shape, motion, np.random.default_rng([9, seed]), 38_400, 16_000)


def _spectrum(sound):
    """Mean log spectrum in 60 bands from 0 to 8 kHz, without its loudness."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 1024)[::1024] * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = np.add.reduceat(power, np.unique(np.geomspace(4, 512, 60).astype(int)), axis=1)
    mean = np.log(bands + 1e-3).mean(axis=0)
    return mean - mean.mean()


def _colour(frame):
    """The colour with the RGB direction of most bright pixels."""
    pixels = frame.reshape(-1, 3).astype(float)
    bright = pixels[pixels.max(axis=1) > 0.8 * pixels.max()].mean(axis=0)
    distance = {
        name: np.linalg.norm(bright / np.linalg.norm(bright) - rgb / np.linalg.norm(rgb))
        for name, rgb in RGB.items()
    }
    return min(distance, key=distance.get)
