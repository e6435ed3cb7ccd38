"""Which checkpoints stay: the newest, regular ones, and the best by a score."""

import json
import math
import os
import signal
from types import SimpleNamespace

import pytest
from ml_collections import ConfigDict
from tiny_run import assert_same_state, checkpoints_of, rows_of
from training.test_checkpoints import state_of

from vatt_gh.config import default
from vatt_gh.config.checks import validate
from vatt_gh.errors import UserError
from vatt_gh.evaluation.loading import load_for_evaluation
from vatt_gh.report.jsonl import METRICS
from vatt_gh.training.checkpoints import Checkpoints
from vatt_gh.training.loop import pretrain
from vatt_gh.training.retention import KeptCheckpoints, goodness_of
from vatt_gh.training.stopping import Stopped, Stopping

R5 = "eval.retrieval.r5"


@pytest.mark.parametrize(
    ("steps", "count", "best", "kept"),
    [
        ([10, 20, 25, 30, 33], 3, None, [20, 30, 33]),  # of those by time only the newest
        ([10, 20, 21, 22, 29], 3, None, [20, 22, 29]),  # and the one before: it may be damaged
        ([10, 20, 21, 22, 29], 2, 10, [10, 22, 29]),
        ([10, 12, 14], 3, None, [10, 12, 14]),
        ([10, 20, 30, 40], 2, None, [30, 40]),
        ([10, 20, 30, 40], 2, 10, [10, 30, 40]),
        ([10, 20, 25, 30], 1, 25, [25, 30]),
        ([10, 20, 30], 2, 30, [20, 30]),
        ([3, 4, 7], 1, None, [7]),
        ([], 3, None, []),
    ],
)
def test_the_newest_the_best_and_regular_ones_stay(steps, count, best, kept):
    policy = KeptCheckpoints(count, every=10, best=lambda asked: best if best in asked else None)
    infos = [SimpleNamespace(step=step) for step in steps]
    flags = policy.should_preserve(infos, context=None)
    assert [s for s, stays in zip(steps, flags, strict=True) if stays] == kept


def test_a_lower_rank_is_better_and_what_is_not_finite_is_worst():
    assert goodness_of(R5, 0.3) > goodness_of(R5, 0.2)
    rank = "eval.retrieval.median_rank"
    assert goodness_of(rank, 2.0) > goodness_of(rank, 3.0)
    for value in (math.nan, math.inf, None):
        assert goodness_of(rank, value) == goodness_of(R5, value) == -math.inf


def saved(folder, scores, *, count=1, score=R5):
    """Saves a checkpoint at each step whose score is better, and every 4 steps.

    Args:
        scores: of a step; None: it has none.

    Returns:
        The steps that are left, and the best of them.
    """
    train = ConfigDict(default().train.to_dict() | {"keep_best": score, "keep_checkpoints": count})
    with Checkpoints(folder, train) as checkpoints, (folder / METRICS).open("a") as rows:
        for step, value in scores.items():
            given = {} if value is None else {R5: value}
            if checkpoints.is_better(step, given) or step % 4 == 0:
                checkpoints.save(state_of(step), step)
                checkpoints.wait()
            written = {name: x if math.isfinite(x) else None for name, x in given.items()}
            rows.write(json.dumps({"step": step, **written}) + "\n")
        return checkpoints.steps(), checkpoints.best()


def test_the_best_stays_beside_the_newest_also_after_a_restart(tmp_path):
    assert saved(tmp_path, {2: 0.1, 4: 0.2, 6: None, 8: None}) == ([4, 8], 4)
    assert saved(tmp_path, {10: 0.5, 12: 0.4}) == ([10, 12], 10)  # 10 is no regular one
    assert saved(tmp_path, {14: 0.5, 16: 0.3}) == ([10, 16], 10)  # of equal ones the first
    assert saved(tmp_path, {18: math.nan, 20: math.nan}) == ([10, 20], 10)
    assert saved(tmp_path, {24: 0.6}) == ([24], 24)


def test_without_scores_or_without_a_name_there_is_no_best(tmp_path):
    assert saved(tmp_path, {4: None, 8: None}) == ([8], None)
    assert saved(tmp_path, {12: 0.5, 14: 0.6, 16: 0.1}, score="") == ([16], None)


def test_another_score_begins_anew(tmp_path):
    """What has no such score is not the best, and no error."""
    assert saved(tmp_path, {4: 0.3, 8: 0.2}) == ([4, 8], 4)
    assert saved(tmp_path, {12: None}, score="eval.a.b") == ([12], None)


def test_a_training_keeps_its_best_and_a_signal_ends_a_score(tiny, tmp_path):
    """The signal comes during the score of step 8: the step is saved, without its score."""
    scores, scored = {2: 0.1, 4: 0.5, 6: 0.4}, []

    def score(state):
        step = int(state.step)
        if step == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        scored.append(step)
        return {R5: scores[step]}

    keys = {"eval.every": 2, "train.keep_best": R5, "train.keep_checkpoints": 1}
    config = tiny.config(**keys, **{"train.checkpoint_every": 100})
    validate(config, devices=4, hosts=1)
    pretrain(config, tmp_path, scoring=lambda _: score, stop_after=6)
    assert checkpoints_of(tmp_path) == [4, 6]
    assert [row[R5] for row in rows_of(tmp_path / "metrics.jsonl")] == list(scores.values())
    config.eval.checkpoint = "best"
    assert int(load_for_evaluation(config, tmp_path).state.step) == 4
    with pytest.raises(Stopped) as stopped:
        pretrain(config, tmp_path, scoring=lambda _: score)
    assert (stopped.value.signal, stopped.value.step, scored) == (signal.SIGTERM, 8, [2, 4, 6])
    assert checkpoints_of(tmp_path) == [4, 8]
    config.eval.checkpoint = "newest"
    state = load_for_evaluation(config, tmp_path).state
    assert_same_state(state, pretrain(tiny.config(), tmp_path / "undisturbed", stop_after=8))
    config.update_from_flattened_dict({"eval.checkpoint": "best", "train.keep_best": "eval.a.b"})
    with pytest.raises(UserError, match="No checkpoint has a score"):
        load_for_evaluation(config, tmp_path)
    config.train.keep_best = ""  # then that of the run
    assert int(load_for_evaluation(config, tmp_path).state.step) == 4


def test_a_score_of_another_name_is_said_after_its_step_is_saved(tiny, tmp_path):
    config = tiny.config(**{"eval.every": 2, "train.keep_best": R5, "train.checkpoint_every": 100})
    with pytest.raises(UserError, match=r"one of eval\.retrieval\.r1"):
        pretrain(config, tmp_path, scoring=lambda _: lambda state: {"eval.retrieval.r1": 0.1})
    assert checkpoints_of(tmp_path) == [2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_only_what_is_called_at_once(number):
    def act():
        os.kill(os.getpid(), number)
        pytest.fail("the handler has not been called")

    with Stopping() as stopping:
        assert stopping.at_once(lambda: 5) == 5
        assert stopping.interrupted == 0
        assert stopping.at_once(act) is None
        assert stopping.interrupted == number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_called_at_once_after_a_signal(number):
    with Stopping() as stopping:
        os.kill(os.getpid(), number)
        assert stopping.at_once(lambda: pytest.fail("it was called")) is None
        assert stopping.interrupted == number


def test_a_signal_at_any_moment_is_never_lost(monkeypatch):
    """Signals from a timer, at moments around the beginning and the end of what is called."""
    monkeypatch.setattr("vatt_gh.training.stopping._SIGNALS", (signal.SIGALRM,))
    for k in range(300):
        with Stopping() as stopping:
            signal.setitimer(signal.ITIMER_REAL, 1e-4 + 1e-6 * k)
            while not stopping.interrupted:
                assert stopping.at_once(lambda: 5) in (5, None)
            signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.parametrize("key", [{"eval.every": 0}, {"train.keep_best": "r5"}])
def test_a_name_of_no_score_is_refused(tiny, key):
    config = tiny.config(**{"eval.every": 2, "train.keep_best": R5, **key})
    with pytest.raises(UserError, match=r"train\.keep_best"):
        validate(config, devices=4, hosts=1)
