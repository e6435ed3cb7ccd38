"""Fine-tuning from real sound files to results: it learns, resumes, and says what is wrong."""

import json
import shutil

import jax
import numpy as np
import pytest
from finetuning.tones import PITCHES, make_tones, tones_config
from tiny_run import run_in_two

from tfds_builders.build import build_for
from vatt_gh.errors import UserError
from vatt_gh.evaluation.loading import load_for_evaluation
from vatt_gh.evaluation.measures import in_top_k
from vatt_gh.finetuning.run import finetune
from vatt_gh.finetuning.score import score
from vatt_gh.finetuning.start import with_model_of_start
from vatt_gh.finetuning.step import create_classifier_state, sgd_of
from vatt_gh.finetuning.task import open_task
from vatt_gh.models.classifier import build_classifier
from vatt_gh.report.jsonl import read_jsonl
from vatt_gh.training.claims import OWNER, claim_workdir, owned
from vatt_gh.training.initial import read_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    make_tones(folder / "tones")
    return folder


@pytest.fixture(scope="module")
def learnt(folder):
    """Results and work directory of a run from drawn parameters."""
    workdir = folder / "learnt"
    return finetune(tones_config(folder), workdir, build=build_for), workdir


def test_it_learns_what_can_be_heard(learnt):
    results, workdir = learnt
    assert results["finetune_clips"] == 12 and results["unlabelled"] == 0
    score = results["finetune"]["top_1"]
    assert score["value"] >= 0.9 > score["untrained"] and score["chance"] == pytest.approx(1 / 3)
    assert score["low"] > max(score["chance"], score["untrained"])
    assert json.loads((workdir / "results.json").read_text()) == results
    assert (workdir / "classes.txt").read_text().split() == list(PITCHES)
    rows = read_jsonl(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(4, 61, 4))
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"] and rows[-1]["accuracy"] > 0.9
    page = (workdir / "index.html").read_text()
    assert "top_1" in page and "losses.png" in page and "cosines.png" not in page


def test_two_processes_learn_and_score_as_one(learnt, folder, tmp_path):
    run_in_two(tones_config(folder), tmp_path)
    results, workdir = learnt
    found = json.loads((tmp_path / "results.json").read_text())
    assert found.keys() == results.keys()
    assert found["finetune_clips"] == results["finetune_clips"] == 12
    assert found["finetune"]["top_1"]["value"] >= 0.9
    rows = zip(*(read_jsonl(d / "metrics.jsonl")[:3] for d in (tmp_path, workdir)), strict=True)
    for mine, theirs in rows:
        for name in ("step", "loss", "accuracy", "learning_rate"):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-3), name


def test_it_does_not_learn_labels_that_were_drawn(folder):
    make_tones(folder / "drawn", known=False)
    results = finetune(tones_config(folder, "drawn"), folder / "mixed", build=build_for)
    score = results["finetune"]["top_1"]
    assert score["low"] <= max(score["chance"], 1 / 3)


def test_an_interrupted_run_goes_on_bit_for_bit(folder, learnt):
    workdir = folder / "twice"
    finetune(tones_config(folder), workdir, stop_after=20)
    left = workdir / "checkpoints" / "30.orbax-checkpoint-tmp-1"  # by a save that was killed
    left.mkdir()
    results = finetune(tones_config(folder), workdir)
    assert results == learnt[0] and not left.exists()
    one, two = read_run(learnt[1]), read_run(workdir)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    rows = [read_jsonl(w / "metrics.jsonl") for w in (learnt[1], workdir)]
    assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]]


def test_a_finished_run_is_scored_again_in_any_batches(folder, learnt):
    again = finetune(tones_config(folder, **{"eval.batch_size": 3}), learnt[1])
    for name, expected in learnt[0]["finetune"].items():
        assert again["finetune"][name] == pytest.approx(expected)


def test_it_starts_from_the_tower_of_a_run(folder, learnt):
    """From a fine-tuned one the tower comes, and it alone."""
    _, start = learnt
    changes = {"init_from": f"orbax:{start}", "finetune.freeze": True, "train.steps": 4}
    workdir = folder / "from"
    finetune(tones_config(folder, **changes, **{"model.audio.layers": 2}), workdir)
    theirs, ours = read_run(start), read_run(workdir)
    backbone = [name for name in ours if name.startswith("params/backbone/")]
    assert len(backbone) > 10
    for name in backbone:  # frozen: as it was read
        np.testing.assert_array_equal(ours[name], theirs[name])
    kernel = "params/classifier/kernel"
    assert np.any(ours[kernel] != theirs[kernel])
    report = json.loads((workdir / "init_from.json").read_text())
    assert report["missing"] == [] and len(report["used"]) == len(backbone)
    stored = json.loads((workdir / "config.json").read_text())
    assert stored["model.audio.layers"] == 1  # that run's form, not the configuration's


def test_scores_during_training_stand_in_its_rows(folder):
    changes = {"eval.every": 4, "train.steps": 8}
    finetune(tones_config(folder, **changes), folder / "scored")
    rows = read_jsonl(folder / "scored" / "metrics.jsonl")
    assert all(0 <= row["eval.finetune.top_1"] <= 1 for row in rows) and len(rows) == 2


def test_other_classes_are_refused(folder, learnt):
    _, workdir = learnt
    path = workdir / "classes.txt"
    known = path.read_text()
    path.write_text("high\nlow\nmiddle\nother\n")
    try:
        with pytest.raises(UserError, match="other classes"):
            finetune(tones_config(folder), workdir)
    finally:
        path.write_text(known)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.builder": "howto100m"}, "no classes to learn"),
        ({"finetune.fold": 6}, "no fold 6"),
        ({"finetune.split": "fold2+fold9"}, "no split 'fold9'"),
        ({"finetune.split": "fold1+fold2"}, "12 records of the test split fold1 would"),
        ({"data.build_audio_rate": 16_000}, "has 8000 samples a second; .* 16000"),
        ({"data.split": "fold2"}, "data.split"),
        ({"train.microbatch": 4}, "train.microbatch"),
        ({"init_from": "orbax:nowhere"}, "not the work directory of a run"),
    ],
)
def test_what_cannot_be_learnt_is_named(folder, learnt, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        finetune(tones_config(folder, **changes), tmp_path / "work")


def test_a_work_directory_does_not_start_from_itself(folder, learnt):
    _, workdir = learnt
    with pytest.raises(UserError, match="same work directory"):
        finetune(tones_config(folder, **{"init_from": f"orbax:{workdir}"}), workdir)


def test_a_mistake_is_mended_in_the_same_work_directory(folder, learnt, tmp_path):
    with pytest.raises(UserError, match="no fold 6"):
        finetune(tones_config(folder, **{"finetune.fold": 6}), tmp_path)
    assert finetune(tones_config(folder), tmp_path, stop_after=1)["step"] == 1


def test_a_run_goes_on_without_the_one_that_it_started_from(folder, learnt, tmp_path):
    start = shutil.copytree(learnt[1], tmp_path / "start")
    config = tones_config(folder, **{"init_from": f"orbax:{start}", "model.audio.layers": 2})
    finetune(config, tmp_path / "work", stop_after=2)
    shutil.rmtree(start)
    assert finetune(config, tmp_path / "work", stop_after=4)["step"] == 4


def test_a_directory_that_another_owns_stays_as_it_is(folder, tmp_path):
    with owned(tmp_path), pytest.raises(UserError, match="Another process is training"):
        finetune(tones_config(folder), tmp_path, build=build_for)
    assert [path.name for path in tmp_path.iterdir()] == [OWNER]


def test_a_fine_tuned_run_is_not_scored_as_a_pre_trained_one(folder, learnt):
    with pytest.raises(UserError, match="that of a fine-tuning"):
        load_for_evaluation(tones_config(folder), learnt[1])


def test_position_tables_get_as_long_as_the_input_needs(folder, learnt, tmp_path):
    start = tmp_path / "start"
    claim_workdir(start, tones_config(folder), lambda: None)
    changes = {"init_from": f"orbax:{start}", "data.frames": 16, "data.size": 48}
    changes |= {"model.audio.input": "waveform", "data.audio_samples": 128 * 11}
    found = with_model_of_start(tones_config(folder, **changes), tmp_path / "work").model
    assert found.video.buckets == (8, 6, 6)  # of patches of 2 x 8 x 8
    assert found.audio.input == "spectrogram"


def test_answers_that_are_no_numbers_are_no_score(folder, learnt):
    config = tones_config(folder)
    task = open_task(config.data, config.finetune)
    model = build_classifier(
        config.model, "audio", classes=3, audio_rate=8_000, multi_label=False, dropout_rate=0.0
    )
    params = create_classifier_state(
        model, sgd_of(config.train, config.finetune), np.zeros(3_200, np.float32), 0
    ).params
    broken = jax.tree.map(lambda x: x * np.nan, params)
    with pytest.raises(FloatingPointError, match="12 test records are not finite, such as 1-"):
        score(model, {"trained": broken}, task, config)
    assert not in_top_k(np.full((2, 3), np.nan), np.array([0, 1]), 1).any()


def test_four_devices_are_in_use():
    assert jax.device_count() == 4
