"""The audit of small records: scores against plain code, the list of the worst, the page."""

import csv
import dataclasses
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from browser import choose, opened, played
from evaluation.set_scores import link_run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small import small_config
from tiny_run import run_in_two

from vatt_gh import batch as names
from vatt_gh.audit.run import audit
from vatt_gh.audit.scores import MEASURES, Scored, _percentiles, score_clips
from vatt_gh.audit.signals import signals_of
from vatt_gh.audit.worst import planted_shares, worst_clips, write_list
from vatt_gh.data.clips import captioned_clips
from vatt_gh.data.records import open_source
from vatt_gh.data.selection import read_selection
from vatt_gh.data.sources import word_counts
from vatt_gh.data.text import Tokenizer, build_vocabulary
from vatt_gh.demo.planted import aligned_of
from vatt_gh.demo.truth import Truth
from vatt_gh.errors import UserError
from vatt_gh.evaluation.loading import load_for_evaluation
from vatt_gh.files import write_whole
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.claims import claim_workdir
from vatt_gh.training.construct import model_of, optimizer_of, zero_sample
from vatt_gh.training.parallel import replicate
from vatt_gh.training.step import create_state


def save(workdir, config, source, seed):
    """Makes the work directory of a model that is drawn."""
    words = build_vocabulary(word_counts([source]), 100)
    claim_workdir(workdir, config, lambda: None)
    write_whole(workdir / "vocabulary.txt", "\n".join(words) + "\n")
    model = model_of(config, words=len(words), audio_rate=16_000)
    state = create_state(model, optimizer_of(config.train), zero_sample(config.data), seed)
    with Checkpoints(workdir, config.train, audio_rate=16_000) as checkpoints:
        checkpoints.save(replicate(state), 0)


CAPTION_KEYS = "video_id", "caption", "caption_start", "caption_end"
# The measures of a run with the default losses.
OF_VIDEO = [name for name in MEASURES if not name.endswith("audio_text")]


@pytest.fixture(scope="module")
def run(small_records, small_corpus, tmp_path_factory):
    """A drawn model, its work directory, and the small records."""
    workdir = tmp_path_factory.mktemp("audited")
    config = small_config(
        **{
            "data.data_dir": str(small_records.parents[2]),
            "data.build_audio_rate": 16_000,
            "data.fps": 2.5,  # windows of 1.6 s overlap
            "train.batch_size": 8,
            "audit.visits": 2,
            "audit.shown": 7,
            "audit.worst": 0.3,
        }
    )
    source = open_source([small_records])
    save(workdir, config, source, seed=config.seed + 1)
    aligned = aligned_of(str(small_corpus / "alignment.jsonl"))
    summary = audit(config, workdir, aligned)
    table = pq.read_table(workdir / "audit" / "scores.parquet").to_pydict()
    return SimpleNamespace(
        config=config,
        workdir=workdir,
        source=source,
        aligned=aligned,
        summary=summary,
        table=table,
        folder=workdir / "audit",
    )


def every_clip(source, tokenizer, config):
    (clips,) = captioned_clips(source, tokenizer, config.data, size=100, overlapping=True)
    return clips


def test_every_caption_is_scored_once(run, small_corpus):
    truth = Truth.load(small_corpus / "alignment.jsonl")
    videos = sorted(set(run.table["video_id"]))
    expected = [
        (video, caption["text"], caption["start"], caption["end"])
        for video in videos
        for caption in truth.captions(video)
    ]
    found = sorted(zip(*(run.table[k] for k in CAPTION_KEYS), strict=True))
    assert [row[:2] for row in found] == [row[:2] for row in sorted(expected)]
    for row, wanted in zip(found, sorted(expected), strict=True):
        np.testing.assert_allclose(row[2:], wanted[2:], atol=1e-4)


def test_every_clip_is_scored_once(run):
    loaded = load_for_evaluation(run.config, run.workdir)
    tokenizer = Tokenizer(loaded.words, run.config.data.words)
    clips = every_clip(run.source, tokenizer, run.config)
    (apart,) = captioned_clips(run.source, tokenizer, run.config.data, size=100)
    assert len(apart["start"]) < len(clips["start"])  # some windows overlap
    assert run.table["video_id"] == [x.decode() for x in clips["video_id"]]
    assert run.table["caption"] == [x.decode() for x in clips["caption"]]
    for name in ("start", "end", "caption_start", "caption_end"):
        assert run.table[name] == clips[name].tolist()
    assert run.summary["clips"] == len(clips["start"]) > 8
    for name in OF_VIDEO:
        values = np.array(run.table[name], float)
        assert np.all(np.isfinite(values))
        better = -values if name.startswith("loss") else values
        order = np.argsort(better)
        percentiles = np.array(run.table[f"{name}_percentile"], float)
        assert np.all(np.diff(percentiles[order]) >= 0)
        assert percentiles.min() == 0 and percentiles.max() == 100


def test_scores_are_means_over_visits(run):
    """The slow twin: every batch of every visit, filled up by hand, and sums by clip."""
    loaded = load_for_evaluation(run.config, run.workdir)
    tokenizer, size = Tokenizer(loaded.words, run.config.data.words), run.config.train.batch_size
    chosen = [("shared", "embedding")]
    find = jax.jit(lambda s, b: signals_of(loaded.model, s, b, run.config, chosen))
    sums = {name: {} for name in ("loss text", "similarity audio", "cosine shared embedding")}
    for visit in (0, 1):
        state = loaded.state.replace(step=loaded.state.step + visit)
        order = run.config.seed + visit
        batches = list(
            captioned_clips(
                run.source,
                tokenizer,
                run.config.data,
                size=size,
                order=order,
                overlapping=True,
            )
        )
        for batch in batches:
            numbers = batch["number"].tolist()
            rows = [*range(len(numbers)), *range(size - len(numbers))]
            filled = {
                name: np.stack(
                    [
                        (batch if k < len(numbers) else batches[0])[name][r]
                        for k, r in enumerate(rows)
                    ]
                )
                for name in (*names.MODALITIES, *names.MASKS)
            }
            filled["index"] = np.arange(size, dtype=np.int32)
            filled["colour"] = np.tile(np.float32(names.NEUTRAL_COLOUR), (size, 1))
            found = find(state, filled)
            for name, total in sums.items():
                for k, number in enumerate(numbers):
                    total[number] = total.get(number, 0.0) + float(found[name][k])
    for name, column, sign in (
        ("loss text", "loss_text", -1),
        ("similarity audio", "similarity_audio", 1),
        ("cosine shared embedding", "cosine", 1),
    ):
        expected = [sign * total / 2 for _, total in sorted(sums[name].items())]
        np.testing.assert_allclose(run.table[column], expected, rtol=2e-3, atol=2e-3)


def test_the_list_of_the_worst_is_one_that_training_takes(run):
    with (run.folder / "worst.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for modality in ("text", "audio"):
        name = f"loss_{modality}"
        values = np.array(run.table[name], float)
        mine = [r for r in rows if r["modality"] == modality]
        assert len(mine) == run.summary["worst"][modality] == int(0.3 * len(values))
        worst = np.argsort(-values, kind="stable")[: len(mine)]
        assert [r["video_id"] for r in mine] == [run.table["video_id"][k] for k in worst]
        prefix = "caption_" if modality == "text" else ""
        for row, k in zip(mine, worst, strict=True):
            start, end = (run.table[f"{prefix}{limit}"][k] for limit in ("start", "end"))
            assert start - 5e-4 <= float(row["start"]) < float(row["end"]) <= end + 5e-4
            assert modality == "text" or float(row["end"]) - float(row["start"]) > 1.59


def test_a_list_leaves_out_its_captions_and_no_other(run):
    selection = read_selection("", str(run.folder / "worst.csv"))
    values = np.array(run.table["loss_text"], float)
    worst = np.argsort(-values, kind="stable")[: run.summary["worst"]["text"]]
    ends = np.array([run.table["caption_start"], run.table["caption_end"]])
    for k, (video, middle) in enumerate(zip(run.table["video_id"], ends.mean(axis=0), strict=True)):
        assert selection.allows(video, "text", np.array([middle]))[0] == (k not in worst)
        assert selection.allows(video, "video", np.array([middle]))[0]


HUNDREDTHS = st.integers(0, 3000)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("ab"), HUNDREDTHS, HUNDREDTHS), min_size=1, max_size=9))
@example([("a", 123, 457), ("a", 200, 380)])  # one middle, to the eye and in float32
@example([("a", 1010, 1430), ("a", 1120, 1320), ("a", 1070, 1370)])
@example([("a", 500, 500), ("a", 501, 501), ("a", 500, 501)])  # no length
def test_a_list_of_any_caption_leaves_out_that_one_alone(captions):
    ids = np.array([video for video, *_ in captions], object)
    ends = np.sort(np.array([pair for _, *pair in captions], np.float32) / np.float32(100), axis=1)
    start, end = ends.T
    middles = (start + end) / 2  # as training computes them
    made = dataclasses.replace(
        made_up(loss_text=np.zeros(len(ids))), video_ids=ids, caption_start=start, caption_end=end
    )
    with tempfile.TemporaryDirectory() as folder:
        for k, middle in enumerate(middles):
            write_list(made, {"text": np.array([k])}, Path(folder) / "list.csv")
            selection = read_selection("", str(Path(folder) / "list.csv"))
            left_out = [
                not selection.allows(video, "text", np.array([at]))[0]
                for video, at in zip(ids, middles, strict=True)
            ]
            assert left_out == ((ids == ids[k]) & (middles == middle)).tolist()


def test_a_clip_judged_as_a_whole_leaves_its_neighbours_captions_in(tmp_path):
    made = dataclasses.replace(
        made_up(cosine=[0.5, 0.1, 0.9]),
        video_ids=np.array(["a", "a", "a"], object),
        start=np.float32([0.0, 1.0, 2.0]),
        end=np.float32([3.2, 4.2, 5.2]),
        caption_start=np.float32([1.0, 2.0, 3.0]),
        caption_end=np.float32([2.2, 3.2, 4.2]),
    )
    write_list(made, worst_clips(made, "cosine", 0.4), tmp_path / "list.csv")
    selection = read_selection("", str(tmp_path / "list.csv"))
    middles = np.float32([1.6, 2.6, 3.6])
    assert selection.allows("a", "text", middles).tolist() == [True, False, True]
    assert selection.allows("a", "video", middles).all()
    assert not selection.allows("a", "audio", middles[1:2])[0]


def test_videos_are_rated_by_the_means_of_their_clips(run):
    with (run.folder / "videos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ids = np.array(run.table["video_id"])
    assert sorted(row["video_id"] for row in rows) == sorted(set(ids))
    order = []
    for row in rows:
        mine = ids == row["video_id"]
        assert int(row["clips"]) == mine.sum()
        means = {n: np.array(run.table[f"{n}_percentile"], float)[mine].mean() for n in OF_VIDEO}
        for name, mean in means.items():
            assert float(row[name]) == pytest.approx(mean)
        order.append(means["loss_text"] + means["loss_audio"])
    assert order == sorted(order)


def test_clips_that_training_leaves_out_are_rated_like_others(run, tmp_path):
    config = run.config.copy_and_resolve_references()
    config.data.without = str(run.folder / "worst.csv")
    for name in ("checkpoints", "vocabulary.txt"):
        (tmp_path / name).symlink_to(run.workdir / name)
    audit(config, tmp_path)
    table = pq.read_table(tmp_path / "audit" / "scores.parquet").to_pydict()
    for name in OF_VIDEO:
        np.testing.assert_allclose(table[name], run.table[name], rtol=1e-4, atol=1e-5)


def test_two_processes_score_every_clip_once(run, tmp_path):
    """Scores differ: they depend on the clips that a process has in a batch."""
    config = run.config.copy_and_resolve_references()
    config.mode = "audit"
    run_in_two(config, link_run(run.workdir, tmp_path))
    table = pq.read_table(tmp_path / "audit" / "scores.parquet").to_pydict()
    for name in ("video_id", "start", "caption"):
        assert table[name] == run.table[name]
    for name in OF_VIDEO:
        assert np.all(np.isfinite(np.array(table[name], float)))
        assert sorted(table[f"{name}_percentile"]) == sorted(run.table[f"{name}_percentile"])
    summary = json.loads((tmp_path / "audit" / "summary.json").read_text())
    assert (summary["clips"], summary["batch"]) == (run.summary["clips"], 4)


def made_up(**measures):
    count = len(next(iter(measures.values())))
    percentiles = {name: _percentiles(np.array(x, float)) for name, x in measures.items()}
    ids = np.array([f"v{k}" for k in range(count)], object)
    times = np.arange(count, dtype=np.float32)
    ends = times, times + 1
    return Scored(np.arange(count), ids, ids, *ends, *ends, {}, percentiles)


def test_a_clip_without_sound_is_never_among_the_worst_sounds():
    nan = np.nan
    scored = made_up(loss_text=[3, 1, 2, 0, 4], loss_audio=[nan, 5, nan, 1, 3])
    worst = worst_clips(scored, "loss", 0.5)
    assert worst["text"].tolist() == [3, 1] and worst["audio"].tolist() == [3]
    with pytest.raises(UserError, match="nothing to judge"):
        worst_clips(scored, "cosine", 0.5)
    assert np.isnan(scored.percentiles["loss_audio"][[0, 2]]).all()


def test_an_oracle_s_list_holds_what_is_planted():
    wrong = np.array([1, 0, 0, 1, 0, 0, 0, 0], bool)
    scored = made_up(loss_text=np.where(wrong, 0.0, 1.0), loss_audio=np.arange(8.0))

    def aligned(video, start, end):
        return True, not wrong[int(video[1:])]

    shares = planted_shares(scored, worst_clips(scored, "loss", 0.25), "loss", aligned)
    assert shares["text"] == {"value": 1.0, "chance": 0.25, "worst": 2}
    assert shares["audio"] == {"value": 0.0, "chance": 0.0, "worst": 2}


def test_planted_noise_is_counted_by_the_truth(run, small_corpus):
    shares = run.summary["planted"]
    truth = Truth.load(small_corpus / "alignment.jsonl")
    wrong = []
    for video in set(run.table["video_id"]):
        for caption in truth.captions(video):
            middle = (caption["start"] + caption["end"]) / 2
            (scene,) = (s for s in truth.scenes(video) if s["start"] <= middle < s["end"])
            wrong.append(caption["shape"] != scene["shape"])
    assert shares["text"]["chance"] == pytest.approx(np.mean(wrong))
    wrong = []
    for video, start, end in zip(
        *(run.table[k] for k in ("video_id", "start", "end")), strict=True
    ):
        middle = (start + end) / 2
        (scene,) = (s for s in truth.scenes(video) if s["start"] <= middle < s["end"])
        wrong.append(not scene["sound_aligned"])
    assert shares["audio"]["chance"] == pytest.approx(np.mean(wrong))
    assert json.loads((run.folder / "summary.json").read_text()) == run.summary


def test_the_untrained_model_s_list_is_beside(run):
    loaded = load_for_evaluation(run.config, run.workdir)
    (drawn,) = score_clips(run.config, loaded, run.source, [loaded.drawn])
    shares = planted_shares(drawn, worst_clips(drawn, "loss", 0.3), "loss", run.aligned)
    found = run.summary["planted"]
    assert found.keys() == shares.keys() == {"text", "audio"}
    for modality, share in shares.items():
        assert found[modality]["untrained"] == share["value"]
    trained = np.array(run.table["loss_text"], float)
    assert not np.allclose(drawn.measures["loss_text"], trained)


def clips_of_page(folder):
    page = (folder / "index.html").read_text()
    return json.loads(page.split("const CLIPS = ", 1)[1].split(";\n", 1)[0])


def test_the_page_shows_the_worst_and_the_best(run):
    clips = clips_of_page(run.folder)
    assert len(clips) == 7
    worst = int(np.argmin(run.table["loss_text_percentile"]))
    assert run.table["caption"][worst] in {clip["caption"] for clip in clips}
    for clip in clips:
        assert (run.folder / clip["picture"]).stat().st_size > 100
        assert (run.folder / clip["sound"]).stat().st_size > 100


def test_the_page_of_a_real_audit_works_in_a_browser(run):
    clips = clips_of_page(run.folder)
    with opened(run.folder / "index.html") as browser:
        choose(browser, "measure", "loss_text")
        cards = browser.find_elements("css selector", ".clip")
        assert len(cards) == len(clips) == 7
        worst = int(np.argmin(run.table["loss_text_percentile"]))
        assert run.table["caption"][worst] in cards[0].text
        pictures = browser.find_elements("css selector", ".clip img")
        assert all(picture.get_property("naturalWidth") > 0 for picture in pictures)
        seconds = run.config.data.audio_samples / run.source.audio_rate
        assert played(browser) == pytest.approx(seconds, abs=0.001)
        video = run.table["video_id"][worst]
        browser.find_element("id", "filter").send_keys(video)
        shown = len(browser.find_elements("css selector", ".clip"))
        assert shown == sum(clip["video_id"] == video for clip in clips) < 7
