"""A corpus in the layouts of other sets: what is said of a scene is true, or it is shuffled."""

import json
from collections import Counter

import av
import numpy as np
import pytest
from scene_sets import WRITERS, read_scenes, write_corpus
from shuffled_in_demo import beats
from tiny_run import prepared, session_folder

from vatt_gh.demo.narration import attributes_said
from vatt_gh.demo.truth import Truth
from vatt_gh.media.downstream import audioset, esc50, ucf101, youcook2

LISTS = {m.__name__.rpartition(".")[2]: m.list_clips for m in (audioset, esc50, ucf101, youcook2)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return prepared(session_folder(tmp_path_factory)).corpus


def test_scenes_are_what_is_planted(corpus):
    scenes, truth = read_scenes(corpus), Truth.load(corpus / "alignment.jsonl")
    n = 0
    for number, name in enumerate(truth.video_ids):
        said = {line["scene"]: line for line in truth.captions(name)}
        for k, scene in enumerate(truth.scenes(name)):
            seconds = scene["end"] - scene["start"]
            assert scenes.videos[n] == number
            assert scenes.seen[n] == f"{scene['colour']} {scene['shape']}"
            assert scenes.heard[n] == (scene["sound_shape"], scene["sound_motion"])
            assert len(scenes.images[n]) == pytest.approx(seconds * scenes.fps, abs=1)
            assert len(scenes.sounds[n]) == pytest.approx(seconds * scenes.rate, rel=0.1)
            assert scenes.said[n] == (said[k]["text"] if k in said else "")
            if k in said and said[k]["aligned"]:
                shown = {scene["shape"], scene["colour"], scene["motion"]}
                assert attributes_said(scenes.said[n]) <= shown
            n += 1
    assert n == len(scenes.names) == len(set(scenes.names))


@pytest.mark.parametrize("name", WRITERS)
def test_a_layout_lists_every_scene_with_what_is_said_of_it(corpus, tmp_path, name):
    scenes = read_scenes(corpus)
    WRITERS[name](scenes, tmp_path)
    listing = LISTS[name](tmp_path)
    assert not listing.skipped
    labels = [tuple(listing.class_names[k] for k in clip.labels) for clip in listing.clips]
    said = [caption for clip in listing.clips for caption in clip.captions]
    expected = {
        "ucf101": [(x.title().replace(" ", ""),) for x in scenes.seen],
        "esc50": [(" ".join(heard),) for heard in scenes.heard],
        "audioset": scenes.heard,
        "youcook2": [() for sentence in scenes.said if sentence],
    }[name]
    assert Counter(map(frozenset, labels)) == Counter(map(frozenset, expected))
    assert Counter(said) == Counter(filter(None, scenes.said if name == "youcook2" else ()))
    with av.open(str(listing.clips[0].path)) as container:
        assert bool(container.streams.video) == (name in ("ucf101", "youcook2"))
        assert bool(container.streams.audio)


def test_shuffled_scenes_keep_their_pictures_alone(corpus):
    scenes = read_scenes(corpus)
    mixed = scenes.shuffled(np.random.default_rng(0))
    assert mixed.images is scenes.images and mixed.names is scenes.names
    for name in ("seen", "heard", "said"):
        mine, others = getattr(scenes, name), getattr(mixed, name)
        assert others != mine and Counter(others) == Counter(mine)
    assert sorted(map(len, mixed.sounds)) == sorted(map(len, scenes.sounds))
    assert any(a is not b for a, b in zip(mixed.sounds, scenes.sounds, strict=True))


def test_a_corpus_is_written_again_as_it_is_or_shuffled(corpus, tmp_path):
    write_corpus(corpus, tmp_path / "same", None)
    write_corpus(corpus, tmp_path / "mixed", np.random.default_rng(0))
    for file in ("alignment.jsonl", "caption.json", "HowTo100M_v1.csv"):
        texts = [(folder / file).read_text() for folder in (corpus, tmp_path / "same")]
        assert texts[0] == texts[1], file
    own, mixed = (Truth.load(x / "alignment.jsonl") for x in (corpus, tmp_path / "mixed"))
    said = json.loads((tmp_path / "mixed" / "caption.json").read_text())
    for part, times in (("scenes", ("start", "end")), ("captions", ("start", "end", "scene"))):
        pairs = [
            (mine, other)
            for name in own.video_ids
            for mine, other in zip(
                getattr(own, part)(name), getattr(mixed, part)(name), strict=True
            )
        ]
        assert all(mine[key] == other[key] for mine, other in pairs for key in times)
        assert any(mine != other for mine, other in pairs)
    for name in mixed.video_ids:
        assert said[name]["text"] == [line["text"] for line in mixed.captions(name)]


@pytest.mark.parametrize(
    ("name", "mine", "untrained", "better"),
    [
        ("a retrieval.r5", (0.4, 0.6), (0.1, 0.3), True),
        ("a retrieval.r5", (0.2, 0.6), (0.1, 0.3), False),
        ("a retrieval.median_rank", (3, 5), (90, 110), True),
        ("a retrieval.median_rank", (90, 110), (3, 5), False),
    ],
)
def test_a_score_beats_another_where_their_intervals_do_not_touch(name, mine, untrained, better):
    ends = dict(zip(("low", "high"), mine, strict=True))
    ends |= dict(zip(("untrained_low", "untrained_high"), untrained, strict=True))
    assert beats(name, ends) == better
