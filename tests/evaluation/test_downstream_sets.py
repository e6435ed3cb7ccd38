"""Evaluators of downstream sets: against plain code, and on each set's real tiny media."""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import tensorflow as tf
from dummy_data import make, make_measurable, video
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from small import drawn, small_config

from tfds_builders.build import build_for
from vatt_gh.data import records
from vatt_gh.data.clips import clip_windows, parted
from vatt_gh.data.text import Tokenizer
from vatt_gh.evaluation.bootstrap import interval
from vatt_gh.evaluation.clip_features import EmbeddedClips, embed_clips_whole
from vatt_gh.evaluation.evaluators import EVALUATORS, evaluate
from vatt_gh.evaluation.held_out import HeldOut
from vatt_gh.evaluation.linear import COSTS, fit_svm
from vatt_gh.evaluation.protocols import PROTOCOLS
from vatt_gh.evaluation.retrieval import rank_scores, ranks, unit, window_similarities
from vatt_gh.evaluation.scoring import as_row, held_out_source, scorer
from vatt_gh.training.construct import model_of, zero_sample

WORDS = ["<pad>", "<unk>", "a", "man", "cooks", "video", "song"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sets")


def held_out_of(name, folder, **changes):
    """A drawn model and the records of a set's tiny media."""
    media = make_measurable if name == "audioset" else make
    config = small_config(
        **{
            "data.builder": name,
            "data.manual_dir": str(media(name, folder / name)),
            "data.data_dir": str(folder / f"{name}_records"),
            "data.build_short_side": 32,
            "data.build_audio_rate": 16_000,
            "data.build_workers": 1,
            "data.caption_reach": 1.0,
            "eval.batch_size": 5,
            "eval.windows": 2,
            **changes,
        }
    )
    source = held_out_source(config, folder, build_for)
    model = model_of(config, words=len(WORDS), audio_rate=source.audio_rate)
    weights = {"trained": drawn(model, zero_sample(config.data))}
    weights["untrained"] = jax.tree.map(lambda x: x * 0.5, weights["trained"])
    return HeldOut(model, weights, source, WORDS, config)


CLASSIFIED = [name for name, p in PROTOCOLS.items() if p.evaluator == "linear"]
RETRIEVED = [name for name, p in PROTOCOLS.items() if p.evaluator == "clip_retrieval"]


@pytest.mark.parametrize("name", ["ucf101", "hmdb51", "esc50"])
def test_every_test_clip_is_classified_once_in_its_split(name, folder):
    held_out = held_out_of(name, folder)
    results = evaluate(held_out)
    assert results.keys() == {"linear", "linear_clips"}
    protocol = PROTOCOLS[name]
    tested = [test for _, test in protocol.folds]
    kinds = ("accuracy", "low_rank_accuracy")
    assert set(results["linear"]) == {
        *kinds,
        *(f"{kind}_{test}" for kind in kinds for test in tested),
    }
    assert results["linear_clips"] == sum(held_out.source.of_split(t).count for t in tested)
    for kind in kinds:
        whole = results["linear"][kind]
        parts = [results["linear"][f"{kind}_{test}"]["value"] for test in tested]
        assert whole["value"] == pytest.approx(np.mean(parts))
        assert "published" not in whole  # of no such small model
        assert 0 <= whole["low"] <= whole["value"] <= whole["high"] <= 1
        assert "untrained" in whole and 0 < whole["chance"] <= 1


def test_audioset_is_scored_on_its_media(folder):
    held_out = held_out_of("audioset", folder)
    results = evaluate(held_out)
    assert results.keys() == {"multi_label", "multi_label_clips"}
    assert results["multi_label_clips"] == held_out.source.of_split("eval").count
    scores = results["multi_label"]
    assert 0 <= scores["mean_average_precision"]["value"] <= 1 and scores["classes"]["value"] >= 1
    assert all("untrained" in score for score in scores.values())


@pytest.mark.parametrize("name", RETRIEVED)
def test_every_caption_asks_for_its_clip(name, folder):
    held_out = held_out_of(name, folder, **{"eval.average": "similarities"})
    results = evaluate(held_out)
    assert results.keys() == {"clip_retrieval", "retrieval_clips"}
    clips = held_out.whole_clips("trained", PROTOCOLS[name].test)
    assert results["retrieval_clips"] == len(clips.ids)
    scores = results["clip_retrieval"]
    text, video = text_ranks(held_out, clips)
    for k in (1, 5, 10):
        assert scores[f"text_to_video_r{k}"]["value"] == pytest.approx(np.mean(text <= k))
        assert scores[f"text_to_video_r{k}"]["chance"] == min(1, k / len(clips.ids))
    assert scores["text_to_video_median_rank"]["value"] == np.median(text)
    if video is not None:
        assert scores["video_to_audio_median_rank"]["value"] == np.median(video)
        assert scores["video_to_audio_clips"]["value"] == len(video)


def text_ranks(held_out, clips):
    """Ranks by loops over queries, clips and windows."""

    def cosine(a, b):
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    model, (params, statistics) = held_out.model, held_out.weights["trained"]
    windows = [np.flatnonzero(clips.clip == n) for n in range(len(clips.ids))]
    ranks = []
    for own, texts in enumerate(clips.said):
        for text in texts:
            ids = Tokenizer(WORDS, held_out.config.data.words)(tf.constant([text])).numpy()[None]
            query = model.embed(params, statistics, {"text": ids})[1]["text_to_video"][0, 0]
            found = [
                np.mean([cosine(query, clips.embeddings["video_to_text"][w]) for w in mine])
                for mine in windows
            ]
            ranks.append(sum(x >= found[own] - 1e-6 for x in found))
    heard = [n for n, mine in enumerate(windows) if clips.masks["audio"][mine].all()]
    if len(heard) < 2:
        return np.array(ranks), None
    videos = []
    for own in heard:
        query = np.mean([clips.embeddings["video_to_audio"][w] for w in windows[own]], axis=0)
        found = {
            n: np.mean([cosine(query, clips.embeddings["audio_to_video"][w]) for w in windows[n]])
            for n in heard
        }
        videos.append(sum(x >= found[own] - 1e-6 for x in found.values()))
    return np.array(ranks), np.array(videos)


def reversed_index(directory, load=records.load_index):
    index = load(directory)
    return dataclasses.replace(
        index, **{name: getattr(index, name)[::-1] for name in ("shard", "offset", "length")}
    )


@pytest.mark.parametrize("name", ["hmdb51", "esc50", "audioset", "msrvtt", "youcook2"])
def test_the_batch_size_and_the_order_of_records_change_no_score(name, folder, monkeypatch):
    first = evaluate(held_out_of(name, folder))
    monkeypatch.setattr(records, "load_index", reversed_index)
    other = evaluate(held_out_of(name, folder, **{"eval.batch_size": 3}))
    assert first.keys() == other.keys()
    evaluator = PROTOCOLS[name].evaluator
    for key, score in first[evaluator].items():
        numbers = {k: v for k, v in score.items() if k != "source"}
        assert numbers == pytest.approx({k: other[evaluator][key][k] for k in numbers}), key


@pytest.mark.parametrize("name", ["hmdb51", "esc50", "audioset", "youcook2"])
def test_during_training_a_set_has_the_same_scores(name, folder):
    """One set for each evaluator and modality."""
    held_out = held_out_of(name, folder, **{"eval.every": 1})
    (folder / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    params, statistics = held_out.weights["trained"]
    scoring = scorer(held_out.config, folder, lambda config: None)
    score = scoring(held_out.source.audio_rate)
    row = score(SimpleNamespace(params=params, statistics=statistics))
    assert row == as_row(evaluate(held_out))
    evaluator = PROTOCOLS[name].evaluator
    assert row and all(measure.startswith(f"eval.{evaluator}.") for measure in row)


def test_a_clip_of_one_split_is_not_counted_again_with_those_of_several(folder):
    manual = make("hmdb51", folder / "lists")
    for kind, name in (("brush_hair", "d"), ("kick_ball", "d")):
        video(manual / kind / f"{name}.avi")
        for split, code in enumerate((2, 0, 1), start=1):
            path = manual / "testTrainMulti_7030_splits" / f"{kind}_test_split{split}.txt"
            path.write_text(path.read_text() + f"\n{name}.avi {code} \n")
        video(manual / kind / "e.avi")
        path = manual / "testTrainMulti_7030_splits" / f"{kind}_test_split1.txt"
        path.write_text(path.read_text() + "\ne.avi 2 \n")
    changes = {"data.manual_dir": str(manual), "data.data_dir": str(folder / "lists_records")}
    held_out = held_out_of("hmdb51", folder, **changes)
    assert {"test1", "test1_and_train3"} <= set(held_out.source.stored_splits())
    names = {f"{part}{n}" for part in ("train", "test") for n in (1, 2, 3)}
    features, labels, splits = held_out.labelled("trained", "video", names)
    assert len(features) == len(labels) == len(splits) == held_out.source.count == 10
    results = evaluate(held_out)
    assert results["linear_clips"] == 6 + 2 + 2  # of the lists as they were, d and e


def test_a_long_clip_is_one_clip_with_the_windows_of_all_its_records(folder):
    manual = make("msrvtt", folder / "long")
    [path] = manual.rglob("video3.*")
    video(path, seconds=3)
    changes = {"data.build_segment_seconds": 1.0, "data.data_dir": str(folder / "cut")}
    held_out = held_out_of("msrvtt", folder, **changes, **{"data.manual_dir": str(manual)})
    clips = held_out.whole_clips("trained", "test")
    assert held_out.source.of_split("test").count == len(clips.ids) + 2
    windows = dict(zip(clips.ids.tolist(), np.bincount(clips.clip).tolist(), strict=True))
    assert windows == {"video3": 6, "video4": 2}
    assert all(len(set(said)) == len(said) > 0 for said in clips.said)
    mine = clips.clip == clips.ids.tolist().index("video3")
    frames = 3 * held_out.source.fps
    assert clips.length[mine].sum() / 2 == pytest.approx(frames, abs=2)
    # Every second counts alike, in a short last record, too.
    whole = clips.mean(clips.features["video"], "video")[clips.ids.tolist().index("video3")]
    expected = np.average(clips.features["video"][mine], axis=0, weights=clips.length[mine])
    np.testing.assert_allclose(whole, expected, rtol=1e-6)


def test_windows_are_spread_over_a_record(folder):
    held_out = held_out_of("esc50", folder)
    batches = list(clip_windows(held_out.source, held_out.config.data, windows=3, size=5))
    starts = np.concatenate([b["start"] for b in batches])
    assert len(starts) == 3 * held_out.source.count
    assert np.all(np.diff(starts.reshape(-1, 3), axis=1) > 0)
    labels = {label for b in batches for x in b["labels"] for label in parted(x)}
    assert labels == set(held_out.source.class_names)


def test_the_machine_is_scikit_learn_s_called_plainly():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    features = rng.normal(size=(90, 5)) * [100, 1, 1, 0.01, 1] + labels[:, None]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LinearSVC()),
        {"linearsvc__C": COSTS},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ).fit(features, labels)
    ours = fit_svm(features, labels)
    assert search.best_params_["linearsvc__C"] == ours["linearsvc"].C
    np.testing.assert_array_equal(ours.predict(features), search.predict(features))


def test_features_tell_classes_and_shuffled_labels_do_not():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 40)
    features = rng.normal(size=(160, 8)) + 3 * np.eye(8)[labels]
    fit = np.arange(160) % 2 == 0
    right = fit_svm(features[fit], labels[fit]).predict(features[~fit]) == labels[~fit]
    assert right.mean() > 0.9
    mixed = rng.permutation(labels)
    wrong = fit_svm(features[fit], mixed[fit]).predict(features[~fit]) == mixed[~fit]
    assert wrong.mean() < 0.45


def test_intervals_hold_what_is_repeated():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(60):
        sample = (rng.random(200) < 0.7).astype(float)
        found = interval([sample])
        inside += found["low"] <= 0.7 <= found["high"]
    assert 50 <= inside <= 60
    assert interval([np.ones(5)]) == {"low": 1.0, "high": 1.0}


def test_numbers_of_one_video_are_drawn_together():
    """Ten copies of each number tell no more than one of each."""
    sample = np.random.default_rng(3).normal(size=40)
    copies, videos = np.repeat(sample, 10), np.repeat(np.arange(40), 10)
    shuffled = np.random.default_rng(4).permutation(400)
    found = interval([copies[shuffled]], groups=[videos[shuffled].astype(str)])
    expected = interval([sample])
    width = expected["high"] - expected["low"]
    assert found["low"] == pytest.approx(expected["low"], abs=0.1 * width)
    assert found["high"] == pytest.approx(expected["high"], abs=0.1 * width)
    alone = interval([copies])
    assert alone["high"] - alone["low"] < 0.5 * width


def test_averages_are_those_of_windows_of_equal_number():
    """Against the original's formulas, which golden files hold."""
    rng = np.random.default_rng(3)
    text, windows = rng.normal(size=(5, 4)), rng.normal(size=(9, 4))
    clips = EmbeddedClips(
        ids=np.array(list("abc")),
        splits=["test"] * 3,
        labels=[[]] * 3,
        said=[[]] * 3,
        clip=np.repeat(np.arange(3), 3),
        length=np.full(9, 50),
        features={},
        embeddings={},
        masks={"video": np.ones(9, bool)},
    )
    parts = windows.reshape(3, 3, 4)
    expected = {
        "embeddings": unit(text) @ unit(parts.mean(axis=1)).T,
        "similarities": np.einsum("nd,mwd->nmw", unit(text), unit(parts)).mean(axis=-1),
    }
    mean = functools.partial(clips.mean, modality="video")
    for average in ("embeddings", "similarities"):
        ours = window_similarities(text, windows, mean, average=average)
        np.testing.assert_allclose(ours, expected[average])


def test_equal_similarities_are_worth_nothing():
    rank = ranks(np.zeros((4, 7)), np.arange(4))
    assert rank.tolist() == [7] * 4
    scores = rank_scores(rank, 7)
    assert scores["r1"]["value"] == 0 and scores["median_rank"]["chance"] == 4
    with pytest.raises(ValueError, match="must be finite"):
        ranks(np.full((1, 2), np.nan), np.zeros(1, int))


def test_windows_that_cannot_be_read_count_for_nothing():
    config = small_config()
    model = model_of(config, words=len(WORDS), audio_rate=16_000)
    weights = drawn(model, zero_sample(config.data))
    rng = np.random.default_rng(4)
    shape = (4, config.data.frames, config.data.size, config.data.size, 3)
    batch = {
        "video": rng.integers(0, 256, shape, np.uint8),
        "audio": rng.uniform(-1, 1, (4, config.data.audio_samples)).astype(np.float32),
        "video_mask": np.array([True, True, False, True]),
        "audio_mask": np.array([True, False, False, True]),
        "video_id": np.array([b"a", b"a", b"b", b"b"]),
        "split": np.array([b"test"] * 4),
        "labels": np.array([b"x", b"x", b"y", b"y"]),
        # Two people have said the same; both records have it, and a line end in another.
        "said": np.array([b"one\x1etwo\x1etwo", b"two\x1ethree\nfour", b"", b""]),
        "number": np.arange(4),
        "length": np.array([30, 10, 20, 20]),
    }
    [clips] = embed_clips_whole(model, [weights], [batch], 4, ("video", "audio"))
    assert clips.ids.tolist() == ["a", "b"] and clips.clip.tolist() == [0, 0, 1]
    assert clips.labels == [["x"], ["y"]]
    assert clips.said == [["one", "two", "two", "three\nfour"], []]
    pictures = clips.mean(clips.features["video"], "video")
    expected = np.average(clips.features["video"][:2], axis=0, weights=[30, 10])
    np.testing.assert_allclose(pictures[0], expected, rtol=1e-6)
    sound = clips.mean(clips.features["audio"], "audio")
    np.testing.assert_allclose(sound, clips.features["audio"][[0, 2]], rtol=1e-6)


def test_a_set_is_scored_by_one_evaluator_alone():
    for name, protocol in PROTOCOLS.items():
        asked = SimpleNamespace(builder=name, known=None)
        assert [e for e, x in EVALUATORS.items() if x.wants(asked)] == [protocol.evaluator]
    other = SimpleNamespace(builder="howto100m", known=None)
    assert [e for e, x in EVALUATORS.items() if x.wants(other)] == ["retrieval"]
