"""Embedding clips and scoring a model on them, with a small model and real records."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from small import RATE, WORDS, small_config

from vatt_gh.errors import UserError
from vatt_gh.evaluation.features import embed_clips
from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.models.vatt import build_vatt


@pytest.fixture(scope="module")
def setup():
    config = small_config()
    data = config.data
    model = build_vatt(config, words=WORDS, audio_rate=RATE)
    rng = np.random.default_rng(0)

    def clips(count):
        video = rng.integers(0, 256, (count, data.frames, data.size, data.size, 3), np.uint8)
        return {
            "video": video,
            "audio": rng.uniform(-1, 1, (count, data.audio_samples)).astype(np.float32),
            "text": rng.integers(0, WORDS, (count, 1, data.words)).astype(np.int32),
            "audio_mask": rng.uniform(size=count) < 0.7,
            "video_id": np.array([f"vid\u00e9o{k}".encode() for k in range(count)]),
            "caption": np.array([f"caf\u00e9 {k}".encode() for k in range(count)]),
            "start": np.arange(count, dtype=np.float32),
            "end": np.arange(count, dtype=np.float32) + 0.4,
            "number": np.arange(count),
        }

    sample = {m: clips(1)[m][0] for m in ("video", "audio", "text")}
    init = jax.jit(model.init)
    weights, others = (init(jax.random.key(seed), sample) for seed in (0, 1))
    return SimpleNamespace(config=config, model=model, weights=weights, others=others, clips=clips)


def cut(batch, first, last):
    return {name: x[first:last] for name, x in batch.items()}


def test_batches_and_padding_change_nothing(setup):
    five = setup.clips(5)
    arguments = (setup.model, [setup.weights])
    [padded] = embed_clips(*arguments, [cut(five, 0, 4), cut(five, 4, 5)], 4)
    [alone] = embed_clips(*arguments, [cut(five, k, k + 1) for k in range(5)], 1)
    for kind in ("features", "embeddings"):
        left, right = getattr(padded, kind), getattr(alone, kind)
        assert left.keys() == right.keys()
        for name in left:
            assert len(left[name]) == 5
            np.testing.assert_allclose(left[name], right[name], rtol=1e-4, atol=1e-5)
            assert np.ptp(left[name], axis=0).max() > 1e-3  # clips differ
    assert {"video", "audio", "text"} == padded.features.keys()


def test_clips_keep_what_they_are_in_their_order(setup):
    five = setup.clips(5)
    clips, moved = embed_clips(
        setup.model, [setup.weights, setup.others], [cut(five, 0, 3), cut(five, 3, 5)], 3
    )
    assert clips.captions.tolist() == [f"caf\u00e9 {k}" for k in range(5)]
    assert clips.video_ids.tolist() == [f"vid\u00e9o{k}" for k in range(5)]
    for name in ("start", "end", "audio_mask"):
        np.testing.assert_array_equal(getattr(clips, name), five[name])
    assert clips.frames.dtype == np.uint8
    middle = setup.config.data.frames // 2
    np.testing.assert_array_equal(clips.frames, five["video"][:, [0, middle, -1]])
    inputs = {m: five[m] for m in ("video", "audio", "text")}
    for weights, seen in ((setup.weights, clips), (setup.others, moved)):
        features, embeddings = jax.jit(setup.model.embed)(*weights, inputs)
        for name in features:
            np.testing.assert_allclose(seen.features[name], features[name], rtol=1e-4, atol=1e-5)
        for name, x in embeddings.items():
            np.testing.assert_allclose(seen.embeddings[name], x, rtol=1e-4, atol=1e-5)
    assert np.abs(clips.features["video"] - moved.features["video"]).max() > 1e-3


def test_no_clip_is_said(setup):
    with pytest.raises(UserError, match="no clip to evaluate"):
        embed_clips(setup.model, [setup.weights], [], 4)


@pytest.mark.parametrize(("queries", "probe_clips"), [(100, 0), (8, 100)])
def test_a_model_is_scored_on_real_records(
    setup, small_records, small_corpus, queries, probe_clips
):
    from vatt_gh.data.records import open_source
    from vatt_gh.data.sources import word_counts
    from vatt_gh.data.text import build_vocabulary
    from vatt_gh.demo.truth import Truth
    from vatt_gh.evaluation.bootstrap import interval
    from vatt_gh.evaluation.evaluators import evaluate
    from vatt_gh.evaluation.retrieval import expected_scores, similarity_of

    source = open_source([small_records])
    words = build_vocabulary(word_counts([source]), WORDS)
    truth = Truth.load(small_corpus / "alignment.jsonl")
    asked = []

    class Planted:
        def classes(self, video, start, end):
            asked.append((video, float(start), float(end)))
            window = truth.window(video, float(start), float(end))
            return window.motion, window.colour

        def similarity(self, clips):
            return np.eye(len(clips.captions))[::-1]

    config = setup.config.copy_and_resolve_references()
    config.eval.batch_size = 4
    config.eval.max_clips, config.eval.probe_clips = queries, probe_clips

    def held_out(trained, untrained, known=None):
        weights = {"trained": trained, "untrained": untrained}
        return HeldOut(setup.model, weights, source, words, config, known)

    scored = held_out(setup.weights, setup.others, Planted())
    results, clips = evaluate(scored), scored.queries("trained")
    count, probed = results["clips"], results["probe_clips"]
    assert count == len(clips.captions) == min(queries, probed)
    assert 8 < probed < 100  # all that exist
    said = {line["text"] for name in truth.video_ids for line in truth.captions(name)}
    assert set(clips.captions) <= said
    # Once for each of the two models; the queries' clips first.
    assert asked[:probed] == asked[probed:]
    assert asked[:count] == list(zip(clips.video_ids, clips.start, clips.end, strict=True))
    text = clips.embeddings["text_to_video"][:, 0]
    video = clips.embeddings["video_to_text"]
    cosines = [[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in video] for x in text]
    np.testing.assert_allclose(similarity_of(clips), cosines, atol=1e-5)
    # With exchanged weights, the untrained model is scored.
    other = evaluate(held_out(setup.others, setup.weights, Planted()))
    rank = [sum(row >= row[k]) for k, row in enumerate(similarity_of(clips))]
    found = (np.array(rank) <= 5).astype(float)
    reference = other["retrieval"]["r5"]
    assert results["retrieval"]["r5"] == {
        "value": pytest.approx(np.mean(found)),
        "chance": pytest.approx(5 / count),
        **interval([found], groups=[clips.video_ids]),
        "untrained": reference["value"],
        "untrained_low": reference["low"],
        "untrained_high": reference["high"],
        "ceiling": expected_scores(Planted().similarity(clips))["r5"],
    }
    assert results["retrieval"]["median_rank"]["value"] == np.median(rank)
    classes = np.array([Planted().classes(*row) for row in asked[:probed]])
    for column, name in enumerate(("video_accuracy", "audio_accuracy")):
        largest = np.unique(classes[:, column], return_counts=True)[1].max()
        score = results["probe"][name]
        assert 0 <= score["value"] <= 1
        assert score["chance"] == pytest.approx(largest / probed)
        assert score["untrained"] == other["probe"][name]["value"]
        assert other["probe"][name]["untrained"] == score["value"]
        assert "ceiling" not in score
    without = evaluate(held_out(setup.weights, setup.others))
    assert without.keys() == {"clips", "retrieval"}
    for name, score in without["retrieval"].items():
        assert score == {k: v for k, v in results["retrieval"][name].items() if k != "ceiling"}


def test_a_model_without_training_scores_untrained(setup, small_records):
    from vatt_gh.data.records import open_source
    from vatt_gh.data.sources import word_counts
    from vatt_gh.data.text import build_vocabulary
    from vatt_gh.evaluation.evaluators import evaluate

    source = open_source([small_records])
    words = build_vocabulary(word_counts([source]), WORDS)
    weights = dict.fromkeys(("trained", "untrained"), setup.weights)
    results = evaluate(HeldOut(setup.model, weights, source, words, setup.config))
    for score in results["retrieval"].values():
        assert score["value"] == score["untrained"]
