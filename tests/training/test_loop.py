"""Pre-training on real records: the same numbers with interruptions; bad numbers stop it."""

import dataclasses
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from dummy_data import make
from tiny_run import DEFAULTS, ROOT, STEPS, STOP, assert_same_state, checkpoints_of, rows_of

from tfds_builders.build import build_for
from vatt_gh.errors import UserError
from vatt_gh.evaluation.scoring import scorer
from vatt_gh.training import loop
from vatt_gh.training.loop import check_finite, pretrain, training_batches
from vatt_gh.training.optimizer import stepped_cosine

FILES = ("metrics.jsonl", "samples.jsonl")


def test_undisturbed_run_writes_everything(tiny, whole):
    workdir, state = whole
    assert int(state.step) == STOP == 6
    assert checkpoints_of(workdir) == [2, 4, 6]
    rows = rows_of(workdir / "metrics.jsonl", without=())
    assert [row["step"] for row in rows] == [2, 4, 6]
    rate = stepped_cosine((1e-2, 1e-3), (2, STEPS), STEPS)
    for row in rows:
        assert row["learning_rate"] == pytest.approx(float(rate(row["step"] - 1)))
        assert sum(row["cosine_histogram"]) <= 8
        assert row["samples_per_second"] == pytest.approx(8 / row["step_seconds"])
        assert 0 <= row["data_wait_share"] <= 1
        assert np.isfinite(row["loss"]) and row["grad_norm"] > 0
    captions = json.loads((tiny.corpus / "caption.json").read_text())
    samples = rows_of(workdir / "samples.jsonl")
    assert [row["step"] for row in samples] == [1, 2, 3, 4, 5, 6]
    for row in samples:
        assert {len(row[key]) for key in row.keys() - {"step"}} == {8}
        assert set(row["video_id"]) <= captions.keys()
        assert np.allclose(np.subtract(row["end"], row["start"]), 0.8, atol=1e-3)  # 8 frames


def test_training_changes_every_parameter(tiny, whole, tmp_path):
    first = pretrain(tiny.config(), tmp_path, stop_after=0)
    moved = jax.tree.map(lambda a, b: np.any(np.asarray(a) != b), first.params, whole[1].params)
    still = [
        jax.tree_util.keystr(path)
        for path, any_changed in jax.tree_util.tree_leaves_with_path(moved)
        if not any_changed
    ]
    # A softmax is invariant to a constant added to all scores: a key bias never moves.
    assert [path for path in still if "bias" not in path] == []


def test_continued_run_has_the_same_bits_and_rows(tiny, whole, tmp_path):
    config = tiny.config()
    assert int(pretrain(config, tmp_path, stop_after=3).step) == 3
    assert checkpoints_of(tmp_path) == [2, 3]
    # As after a kill, before the last checkpoint is finished, and in the middle of a line.
    left = tmp_path / "checkpoints" / "5.orbax-checkpoint-tmp-1"
    (tmp_path / "checkpoints" / "3").rename(left)
    for name in FILES:
        with (tmp_path / name).open("a") as file:
            file.write('{"step": 4, "lo')
    assert_same_state(pretrain(config, tmp_path, stop_after=STOP), whole[1])
    assert checkpoints_of(tmp_path) == [2, 4, 6] and not left.exists()
    for name in FILES:
        assert rows_of(tmp_path / name) == rows_of(whole[0] / name)


CONTINUES = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from tiny_run import STOP, Tiny
from vatt_gh.training.loop import pretrain

*paths, workdir = map(Path, sys.argv[1:])
pretrain(Tiny(*paths).config(), workdir, stop_after=STOP)
"""


def test_a_run_goes_on_with_another_number_of_devices(tiny, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    for step in (4, 6):
        shutil.rmtree(tmp_path / "checkpoints" / str(step))
    ended = subprocess.run(
        [sys.executable, "-c", CONTINUES, *map(str, dataclasses.astuple(tiny)), str(tmp_path)],
        cwd=ROOT,
        env=tiny.environment | {"JAX_NUM_CPU_DEVICES": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Continues from step 2" in ended.stdout, ended.stderr[-3000:]
    assert checkpoints_of(tmp_path) == [2, 4, 6]
    for mine, theirs in zip(
        *(rows_of(d / "metrics.jsonl") for d in (tmp_path, whole[0])), strict=True
    ):
        for key in theirs:
            np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-3, atol=1e-4, err_msg=key)


def test_finished_run_is_left_as_it_is(tiny, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    before = [(tmp_path / name).read_bytes() for name in FILES]
    assert_same_state(pretrain(tiny.config(), tmp_path, stop_after=STOP), whole[1])
    assert [(tmp_path / name).read_bytes() for name in FILES] == before
    assert checkpoints_of(tmp_path) == [2, 4, 6]


def test_an_error_closes_the_input(tiny, tmp_path, monkeypatch):
    """An open input hangs the process at exit: tf.data waits for Python, which is gone."""
    opened = []

    def open_and_note(*args, **kwargs):
        opened.append(training_batches(*args, **kwargs))
        return opened[-1]

    def broken_step(state, arrays):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(loop, "training_batches", open_and_note)
    monkeypatch.setattr(loop, "parallel_step", lambda *_: broken_step)
    with pytest.raises(RuntimeError, match="the device is gone"):
        pretrain(tiny.config(), tmp_path)
    assert len(opened) == 1 and opened[0].gi_frame is None


def test_the_first_batch_is_held_against_its_form(tiny, tmp_path, monkeypatch):
    def wrong(*args, **kwargs):
        for arrays, host in training_batches(*args, **kwargs):
            yield arrays | {"text": arrays["text"].astype(np.int64)}, host

    monkeypatch.setattr(loop, "training_batches", wrong)
    with pytest.raises(ValueError, match=r"batch\['text'\] is int64 .*, expected int32 of rank 3"):
        pretrain(tiny.config(), tmp_path)


def test_scores_stand_in_the_rows_of_their_steps_and_change_nothing(tiny, whole, tmp_path):
    config = tiny.config(**{"eval.every": 4, "eval.max_clips": 6})
    scoring = scorer(config, tmp_path, lambda config: None)
    state = pretrain(config, tmp_path, scoring=scoring, stop_after=STOP)
    assert_same_state(state, whole[1])
    rows = rows_of(tmp_path / "metrics.jsonl")
    names = {f"eval.retrieval.{name}" for name in ("r1", "r5", "r10", "median_rank")}
    assert [row["step"] for row in rows if names <= row.keys()] == [4]
    assert 1 <= rows[1]["eval.retrieval.median_rank"] <= 6
    bare = [{key: x for key, x in row.items() if key not in names} for row in rows]
    assert bare == rows_of(whole[0] / "metrics.jsonl")
    assert scorer(tiny.config(), tmp_path, lambda config: 1 / 0) is None
    with pytest.raises(UserError, match="has 8000 samples a second; that of training has 9000"):
        scoring(9_000)


def test_mel_filters_beyond_the_sound_are_refused_to_a_new_run_alone(tiny, tmp_path, monkeypatch):
    spectrogram = {"mel_high_hz": 4_001.0, "frame": 128, "hop": 64, "mel_bins": 10, "patch": (3, 5)}
    keys = {f"model.audio.spectrogram.{key}": value for key, value in spectrogram.items()}
    config = tiny.config(**{"model.audio.input": "spectrogram", **keys})
    with pytest.raises(UserError, match="reach to 4001 Hz, and the sound to 4000 Hz"):
        pretrain(config, tmp_path)
    with monkeypatch.context() as earlier:
        earlier.setattr(loop, "check_mel_filters", lambda *_: None)
        pretrain(config, tmp_path, stop_after=1)
    assert int(pretrain(config, tmp_path, stop_after=2).step) == 2


def test_a_step_that_diverged_is_not_scored(tiny, tmp_path):
    config = tiny.config(**{"eval.every": 2, "loss.temperature": 1e-50})
    asked = []
    with pytest.raises(FloatingPointError, match=r"step 1: .*loss_va"):
        pretrain(config, tmp_path, scoring=lambda rate: asked.append)
    assert asked == []


def test_message_names_the_metrics_and_samples_at_fault():
    metrics = {"loss": np.float32(np.nan), "kept_share": np.float32(1.0)}
    samples = {"cosine": np.zeros((2, 2)), "loss_va": np.array([[0.0, np.inf], [0.0, 1.0]])}
    host = {
        "video_id": np.array([b"one", b"two", b"three", b"four"]),
        "start": np.array([0.0, 1.5, 2.0, 3.0]),
    }
    with pytest.raises(FloatingPointError, match=r"step 12: loss not finite; .*: two at 1.50 s\."):
        check_finite(12, metrics, samples, host)
    samples["loss_va"][0, 1] = 0.0
    with pytest.raises(FloatingPointError, match="the parameters or gradients are at fault"):
        check_finite(12, metrics, samples, host)
    check_finite(12, {"loss": np.float32(1.0)}, samples, host)


@pytest.mark.parametrize(
    ("experiment", "storage"),
    [("howto100m", "jpeg"), ("howto100m", "mp4"), ("howto100m", "index"), ("youtube8m", "index")],
)
def test_experiments_train_from_every_storage(tiny, whole, tmp_path, experiment, storage):
    workdir, _ = whole
    config = tiny.config(
        experiment,
        **{
            "data.manual_dir": str(make(experiment, tmp_path / "videos")),
            "data.data_dir": str(tmp_path / "records"),
            "data.build_storage": storage,
            "data.vocabulary": str(workdir / "vocabulary.txt"),  # of the same length
            **DEFAULTS,
        },
    )
    assert config.data.builder == experiment
    state = pretrain(config, tmp_path / "run", build=build_for, stop_after=2)
    assert int(state.step) == 2
    (row,) = rows_of(tmp_path / "run" / "metrics.jsonl")
    assert np.isfinite(row["loss"]) and row["grad_norm"] > 0
    assert row["unreadable"] == 0
