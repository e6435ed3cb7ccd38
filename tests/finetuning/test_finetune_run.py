"""Fine-tuning from real sound files to results: it learns, resumes, and says what is wrong."""

import json

import jax
import numpy as np
import pytest
from finetuning.tones import PITCHES, make_tones, tones_config

from tfds_builders.build import build_for
from vatt_gh.errors import UserError
from vatt_gh.finetuning.run import finetune
from vatt_gh.report.rows import read_jsonl
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


def test_it_does_not_learn_labels_that_were_drawn(folder):
    make_tones(folder / "drawn", known=False)
    results = finetune(tones_config(folder, "drawn"), folder / "mixed", build=build_for)
    score = results["finetune"]["top_1"]
    assert score["low"] <= max(score["chance"], 1 / 3)


def test_an_interrupted_run_goes_on_bit_for_bit(folder, learnt):
    workdir = folder / "twice"
    finetune(tones_config(folder), workdir, stop_after=20)
    results = finetune(tones_config(folder), workdir)
    assert results == learnt[0]
    one, two = read_run(learnt[1]), read_run(workdir)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    rows = [read_jsonl(w / "metrics.jsonl") for w in (learnt[1], workdir)]
    assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]]


def test_a_finished_run_is_scored_again_in_any_batches(folder, learnt):
    again = finetune(tones_config(folder, **{"eval.batch_size": 3}), learnt[1])
    for name, score in learnt[0]["finetune"].items():
        assert again["finetune"][name] == pytest.approx(score)


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
        ({"finetune.split": "fold1+fold9"}, "no split 'fold9'"),
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


def test_four_devices_are_in_use():
    assert jax.device_count() == 4
